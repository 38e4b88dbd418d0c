//! petitboot of OpenPOWER: `petitboot/NODE`, found by the address in upper case hexadecimal digits at the root of tftpdir.
//! It fetches kernel and initrd over HTTP.

use super::{Alias, Boot, BootFile, Loader, Needs, hexips};
use crate::bootconf::BootError;
use crate::bootconf::cmdline::{self, Added};
use crate::bootconf::facts::KnownAs;

/// petitboot.
pub static LOADER: Loader = Loader {
    name: "petitboot",
    netboot: &["petitboot"],
    help: "petitboot, OpenPOWER",
    dir: "petitboot",
    suffixes: &[""],
    state_line: 0,
    absent: "offline",
    alias_dirs: &[""],
    files,
    local: || "#boot\n".to_owned(),
    aliases,
    needs: Needs::Address,
};

fn files(boot: &Boot<'_>) -> Result<Vec<BootFile>, BootError> {
    let facts = boot.facts;
    let settings = &facts.settings;
    let line = cmdline::line(facts, None, Added::AsIs)?;
    quotable(&line)?;
    let base = format!(
        "{}://{}:{}{}",
        settings.httpmethod,
        facts.servers(None)?.boot,
        settings.httpport,
        settings.tftpdir
    );
    let text = format!(
        "#{}\ndefault xCAT\nlabel xCAT\n\tkernel {base}/{}\n\tinitrd {base}/{}\n\tappend \"{line}\"\n",
        boot.state,
        facts.kernel(),
        facts.initrd(),
    );
    Ok(vec![BootFile { suffix: "", text }])
}

/// The command line is written between double quotes.
pub(super) fn quotable(line: &str) -> Result<(), BootError> {
    if !line.contains('"') {
        return Ok(());
    }
    Err(BootError::Value {
        column: "linuximage.addkcmdline",
        value: line.escape_debug().to_string(),
        why: "this loader has the command line between double quotes, so it cannot hold one"
            .to_owned(),
    })
}

fn aliases(known_as: &KnownAs) -> Vec<Alias> {
    hexips(known_as).map(Alias::Hard).collect()
}
