//! yaboot of older POWER machines: `etc/NODE`, found as `etc/` and the address in lower case hexadecimal digits, or as
//! `yaboot.conf-MAC` at the root of tftpdir.

use super::{Alias, Boot, BootFile, Loader, Needs, hexips};
use crate::bootconf::BootError;
use crate::bootconf::cmdline::{self, Added};
use crate::bootconf::facts::KnownAs;

/// yaboot.
pub static LOADER: Loader = Loader {
    name: "yaboot",
    netboot: &["yaboot"],
    help: "yaboot, POWER",
    dir: "etc",
    suffixes: &[""],
    state_line: 0,
    absent: "boot",
    alias_dirs: &["etc", ""],
    files,
    local: || "#boot\ntimeout=5\nbye\n".to_owned(),
    aliases,
    needs: Needs::Address,
    added: Added::AsIs,
    misreads: super::quoted,
};

fn files(boot: &Boot<'_>) -> Result<Vec<BootFile>, BootError> {
    let facts = boot.facts;
    let line = cmdline::line(facts, None, &LOADER)?;
    let text = format!(
        "#{}\ntimeout=5\nimage={}\n\tlabel=xcat\n\tinitrd={}\n\tappend=\"{line}\"\n",
        boot.state,
        facts.kernel(),
        facts.initrd(),
    );
    Ok(vec![BootFile { suffix: "", text }])
}

fn aliases(known_as: &KnownAs) -> Vec<Alias> {
    let hard = |name: String| Alias::Hard(format!("etc/{}", name.to_lowercase()));
    let mut aliases: Vec<_> = hexips(known_as).map(hard).collect();
    let mac = known_as.mac;
    aliases.extend(mac.map(|mac| Alias::Hard(format!("yaboot.conf-{}", mac.dashes()))));
    aliases
}
