//! April 2010: `NFSROOT=SERVER:DIR STATEMNT=X XCAT=MASTER:3001 [console=...]`.

use super::parts;
use crate::bootconf::facts::{Facts, Servers};

/// The line, without what is added.
#[must_use]
pub fn line(facts: &Facts<'_>, servers: &Servers) -> String {
    format!(
        "NFSROOT={}:{} STATEMNT={} XCAT={}:{} {}",
        servers.nfs,
        facts.nfsdir,
        parts::statemnt(facts),
        servers.master,
        facts.settings.xcatdport,
        parts::console(facts).unwrap_or_default(),
    )
}
