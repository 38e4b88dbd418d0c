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
    added: Added::AsIs,
    misreads: quotes,
};

fn files(boot: &Boot<'_>) -> Result<Vec<BootFile>, BootError> {
    let facts = boot.facts;
    let settings = &facts.settings;
    let line = cmdline::line(facts, None, &LOADER)?;
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
fn quotes(arguments: &str) -> Option<&'static str> {
    let why = "this loader has the command line between double quotes, so it cannot hold one";
    arguments.contains('"').then_some(why)
}

fn aliases(known_as: &KnownAs) -> Vec<Alias> {
    hexips(known_as).map(Alias::Hard).collect()
}
