//! Every rule with its name, weight and finder. `statelite check --rules` lists them.

use super::finding::Severity::{self, Refusal, Warning as Odd};
use super::{
    Facts, Sink, arguments, boot, computed, groups, images, keys, litefile, nesting, nodes, policy,
    priorities, regexes, settings, sources, wire,
};

/// One thing that is checked.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name, as findings carry it.
    pub id: &'static str,
    /// How bad a finding is, unless the mode of the site says otherwise.
    pub severity: Severity,
    /// Whether xCAT would work with such a value, so that `--force` gets it in.
    pub forceable: bool,
    /// What it finds, in a line.
    pub help: &'static str,
    pub(super) find: Find,
}

type Find = fn(&Facts<'_>, &mut Sink<'_>);

/// A refusal that nothing overrides.
const fn never(id: &'static str, help: &'static str, find: Find) -> Rule {
    Rule {
        id,
        severity: Refusal,
        forceable: false,
        help,
        find,
    }
}

/// A refusal that xCAT does not have.
const fn refuse(id: &'static str, help: &'static str, find: Find) -> Rule {
    Rule {
        forceable: true,
        ..never(id, help, find)
    }
}

const fn warn(id: &'static str, help: &'static str, find: Find) -> Rule {
    Rule {
        severity: Odd,
        forceable: true,
        ..never(id, help, find)
    }
}

/// Every rule.
pub const RULES: &[Rule] = &[
    never(
        "duplicate-key",
        "two rows with the same key",
        keys::duplicate,
    ),
    never("required", "a column without its value", keys::required),
    warn(
        "disable-word",
        "a word that disables a row although it does not look so",
        keys::disable,
    ),
    refuse(
        "unknown-image",
        "a row for an image nobody has defined",
        images::unknown,
    ),
    warn(
        "blank-image",
        "a litefile row with a blank image",
        images::blank,
    ),
    refuse(
        "unknown-provmethod",
        "a node's provmethod is no image and no method",
        images::provmethod,
    ),
    warn(
        "image-groups",
        "an osimage with several groups",
        images::groups,
    ),
    never(
        "nfsrootopts",
        "mount options of the root in a bad form",
        images::nfsrootopts,
    ),
    never("path", "a litefile path that cannot be one", litefile::path),
    refuse(
        "wildcard",
        "a litefile path with wildcards",
        litefile::wildcard,
    ),
    refuse(
        "wire-letter",
        "a path with letters that do not reach nodes",
        wire::letter,
    ),
    warn(
        "wire-markup",
        "a path that xCAT's scripts in nodes read in another way",
        wire::markup,
    ),
    never(
        "option",
        "an option word the dialect does not have",
        litefile::option,
    ),
    warn(
        "odd-option",
        "an option word xCAT reads in another way",
        litefile::odd_option,
    ),
    never(
        "con-directory",
        "concatenation of a directory",
        litefile::con_directory,
    ),
    never(
        "mtab-directory",
        "/etc/mtab as a directory",
        litefile::mtab_directory,
    ),
    never(
        "same-path",
        "one path twice for the same image",
        litefile::same_path,
    ),
    never(
        "nesting",
        "rows below rows as link mode cannot have them",
        nesting::nesting,
    ),
    warn(
        "deep-nesting",
        "more than one level of rows below rows",
        nesting::deep,
    ),
    never(
        "source",
        "a litetree directory or statemnt that cannot be one",
        sources::source,
    ),
    refuse(
        "no-server",
        "a litetree directory or statemnt without a server",
        sources::no_server,
    ),
    warn(
        "literal-server",
        "a statemnt xCAT garbles",
        sources::literal_server,
    ),
    refuse(
        "variable",
        "a variable of a table or column that does not exist",
        sources::variable,
    ),
    warn(
        "unset-setting",
        "a variable of a site setting that is not set; refused where the row is an error by it",
        sources::unset,
    ),
    warn(
        "no-value",
        "a variable that a node has no value of",
        sources::valueless,
    ),
    never("mntopts", "mount options in a bad form", sources::mntopts),
    never(
        "priority",
        "a priority that is not a number",
        priorities::number,
    ),
    never(
        "equal-priority",
        "two numbers that are equal though written differently",
        priorities::equal,
    ),
    never("node-name", "a node name that cannot be one", nodes::name),
    warn(
        "unknown-node",
        "a row of a node or group that does not exist",
        nodes::unknown,
    ),
    never(
        "nodegroup",
        "a row of the nodegroup table that makes no group",
        groups::group,
    ),
    warn(
        "unknown-member",
        "a member of a group that does not exist",
        groups::member,
    ),
    refuse("netboot", "an unknown boot loader", nodes::netboot),
    refuse(
        "boot-value",
        "a value that cannot be put into a boot file",
        boot::boot_value,
    ),
    refuse(
        "boot-arguments",
        "kernel arguments that a node's boot loader takes as its own",
        arguments::arguments,
    ),
    refuse("address", "an address that is none", nodes::address),
    warn(
        "same-address",
        "two nodes with the same address",
        nodes::same_address,
    ),
    refuse(
        "same-mac",
        "two nodes with the same MAC address",
        nodes::same_mac,
    ),
    refuse(
        "regex",
        "a substitution that does not compile",
        regexes::compile,
    ),
    refuse(
        "computed-value",
        "a substitution that gives a node a value it cannot have",
        computed::value,
    ),
    warn(
        "regex-path",
        "a path that is read as a substitution",
        regexes::path,
    ),
    refuse(
        "policy-rule",
        "an unknown word in policy.rule",
        policy::rule,
    ),
    refuse(
        "policy-cell",
        "a policy cell that no request, or every request, matches by mistake",
        policy::cells,
    ),
    warn(
        "policy-denies",
        "a policy table that lets no node ask what nodes ask",
        policy::unanswered,
    ),
    never(
        "setting",
        "a site setting with a value it cannot have",
        settings::setting,
    ),
];
