//! Rules about what nodes are told.

use super::{Case, Odd, Refusal};

pub(super) const CASES: &[Case] = &[
    (
        "wire-letter",
        Refusal,
        "litefile: image,file,options\nALL,/etc/ü,tmpfs",
        "litefile: row 1 (\"ALL\", \"/etc/ü\"): column file: \"ü\" is not ASCII: nodes are told ?? in its place, and so \
         another path",
    ),
    (
        "wire-letter",
        Refusal,
        "litetree: priority,directory\n1,s:/#CMD=echo é#/\n2,s:/é",
        "litetree: row 2 (\"2\"): column directory: \"é\" is not ASCII: nodes are told ?? in its place, and so another path",
    ),
    (
        "wire-markup",
        Odd,
        "litefile: image,file\nALL,/etc/a&b",
        "litefile: row 1 (\"ALL\", \"/etc/a&b\"): column file: \"&\" is sent as \"&amp;\": statelitefs reads it back, \
         xCAT's scripts in nodes take it as it is",
    ),
    (
        "wire-markup",
        Odd,
        "litetree: priority,directory\n1,s:/#CMD=a && b#/\n2,s:/a>b",
        "litetree: row 2 (\"2\"): column directory: \">\" is sent as \"&gt;\": statelitefs reads it back, \
         xCAT's scripts in nodes take it as it is",
    ),
    (
        "no-value",
        Odd,
        "litetree: priority,image,directory\n1,sles,s:/$nodepos.rack\n3,,s:/$nodepos.room",
        "litetree: row 2 (\"3\"): column directory: $nodepos.room: n1 and 1 more have no value: it becomes UNDEFINED",
    ),
    (
        "no-value",
        Odd,
        "statelite: node,statemnt\nn2,$nodepos.u:/state",
        "statelite: row 1 (\"n2\"): column statemnt: $nodepos.u: n2 has no value: the server or command is unknown, and they get no \
         rows at all",
    ),
    (
        "no-value",
        Odd,
        "litetree: priority,directory\n1,s:/#CMD=echo $nodepos.u#",
        "litetree: row 1 (\"1\"): column directory: $nodepos.u: n1 and 1 more have no value: the server or command is \
         unknown, and they get no rows at all",
    ),
    (
        "unset-setting",
        Odd,
        "litetree: priority,directory\n1,s:/$site.nothing",
        "litetree: row 1 (\"1\"): column directory: $site.nothing is not set in the site table: it becomes UNDEFINED",
    ),
    (
        "unset-setting",
        Refusal,
        "litetree: priority,directory\n1,$site.nothing:/a",
        "litetree: row 1 (\"1\"): column directory: $site.nothing is not set in the site table: the server or command is \
         unknown, and every node it is for gets an error in place of its rows",
    ),
    (
        "unset-setting",
        Refusal,
        "statelite: node,statemnt\nall,x$site.nothing:/a",
        "statelite: row 1 (\"all\"): column statemnt: $site.nothing is not set in the site table: the server or command is \
         unknown, and every node it is for gets an error in place of its rows",
    ),
    (
        "unset-setting",
        Refusal,
        "litetree: priority,directory\n1,s:/#CMD=echo $site.nothing#",
        "litetree: row 1 (\"1\"): column directory: $site.nothing is not set in the site table: the server or command is \
         unknown, and every node it is for gets an error in place of its rows",
    ),
];
