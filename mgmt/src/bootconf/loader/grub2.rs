//! GRUB 2: `boot/grub2/NODE`, found as `grub.cfg-HEXIP` or `grub.cfg-01-MAC`; `grub2-NODE` is the loader itself.
//!
//! On x86 the words are `linuxefi` and `initrdefi`, as in xCAT. The last line has no line end.

use super::{Alias, Boot, BootFile, Loader, Needs, hexips};
use crate::bootconf::BootError;
use crate::bootconf::cmdline::{self, Added};
use crate::bootconf::facts::KnownAs;

/// GRUB 2.
pub static LOADER: Loader = Loader {
    name: "grub2",
    netboot: &["grub2", "grub2-tftp", "grub2-http"],
    help: "GRUB 2, POWER and UEFI, over TFTP or HTTP",
    dir: "boot/grub2",
    suffixes: &[""],
    state_line: 0,
    absent: "offline",
    alias_dirs: &["boot/grub2"],
    files,
    local: || "#boot\nset timeout=5\n".to_owned(),
    aliases,
    needs: Needs::Address,
    added: Added::Words,
    misreads: script,
};

fn files(boot: &Boot<'_>) -> Result<Vec<BootFile>, BootError> {
    let http = boot.netboot == "grub2-http";
    let words = match boot.facts.image.x86() {
        true => ["linuxefi", "initrdefi"],
        false => ["linux", "initrd"],
    };
    let text = menu(boot, http, words)?;
    Ok(vec![BootFile { suffix: "", text }])
}

/// The whole file.
pub(super) fn menu(
    boot: &Boot<'_>,
    http: bool,
    [linux, initrd]: [&str; 2],
) -> Result<String, BootError> {
    let facts = boot.facts;
    let settings = &facts.settings;
    let line = cmdline::line(facts, None, &LOADER)?;
    let server = facts.resolved(&facts.servers(None)?.boot);
    let (root, below) = match http {
        true => (
            format!("http,{server}{}", settings.port_suffix()),
            settings.tftpdir.as_str(),
        ),
        false => (format!("tftp,{server}"), ""),
    };
    let debug = if settings.debugmode.is_some() {
        "set debug=all\n"
    } else {
        ""
    };
    Ok(format!(
        "#{state}\n{debug}set timeout=5\nset default=\"xCAT OS Deployment\"\nmenuentry \"xCAT OS Deployment\" {{\n    \
         insmod http\n    insmod tftp\n    set root={root}\n    echo Loading Install kernel ...\n    \
         {linux} {below}/{kernel} {line} BOOTIF=$net_default_mac\n    echo Loading initial ramdisk ...\n    \
         {initrd} {below}/{path}\n}}",
        state = boot.state,
        kernel = facts.kernel(),
        path = facts.initrd(),
    ))
}

/// The words of a command go through GRUB's shell, and `linux` puts a backslash before quotes that a word holds.
pub(super) fn script(arguments: &str) -> Option<&'static str> {
    let comment = arguments
        .split_whitespace()
        .any(|word| word.starts_with('#'));
    let taken = comment || arguments.contains(|c: char| ";&|<>{}\"'\\$".contains(c));
    taken.then_some("GRUB takes ; & | < > { } \" ' \\ $ and a # that begins a word as its own")
}

/// What GRUB calls the architecture in the loader's name.
#[must_use]
pub fn arch(known_as: &KnownAs) -> String {
    match known_as.arch.to_ascii_lowercase().contains("ppc64") {
        true => "ppc".to_owned(),
        false => known_as.arch.clone(),
    }
}

pub(super) fn aliases(known_as: &KnownAs) -> Vec<Alias> {
    let hard = |name: String| Alias::Hard(format!("boot/grub2/grub.cfg-{name}"));
    let mut aliases: Vec<_> = hexips(known_as).map(hard).collect();
    aliases.extend(known_as.mac.map(|mac| hard(mac.with_type())));
    let link = format!("boot/grub2/grub2-{}", known_as.node);
    aliases.push(Alias::Loader(link, format!("grub2.{}", arch(known_as))));
    aliases
}
