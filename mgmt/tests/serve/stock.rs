//! Stock nodes: `openssl s_client` with a request on its input, and the text tools their boot scripts put behind it.
//! Their rules (facts §6, §10): tags are taken off line by line, blank lines dropped, and then
//! litefile is what stands between the first and second colon, litetree the second word, and a partition file whole.

use crate::common::*;
use statelite_mgmt::server::listen::Port;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// What a stock node's shell makes of the answer to these lines.
fn node(site: &Site1, from: &str, input: &str, pipeline: &str) -> String {
    let address = site.address(Port::Wire);
    let script = format!(
        "openssl s_client -quiet -connect {address} -bind {from}:0 2>/dev/null | {pipeline}"
    );
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = shell.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

const UNTAG: &str = "sed -e 's/<[^>]*>//g' | grep -E -v '^ *$' | sed -e 's/^ *//'";

fn filter(command: &str) -> String {
    match command {
        "litefile" => format!("{UNTAG} | awk -F: '{{print $2}}' | sed -e 's/^ *//'"),
        "litetree" => format!("{UNTAG} | awk '{{print $2}}'"),
        _ => UNTAG.to_owned(),
    }
}

/// The lines that are not blank: xCAT's own answers leave blank ones too, which the scripts pass over.
fn lines(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .collect()
}

const FILES: [&str; 3] = [
    "tmpfs         /etc/adjtime",
    "link          /etc/mtab",
    "persistent    /var/log/",
];
const TREES: [&str; 2] = ["10.0.0.1:/statelite/n01", "cnfs:/gpfs/dallas"];

/// Requests as nodes of both eras send them: on one line, on several, with their own name.
fn requests(command: &str) -> [String; 4] {
    [
        format!("<xcatrequest><command>{command}</command></xcatrequest>\n"),
        format!("<xcatrequest>\n<command>{command}</command></xcatrequest>\n"),
        format!(
            "<xcatrequest>\n<command>{command}</command>\n<noderange>n01</noderange>\n</xcatrequest>\n\n"
        ),
        format!("<xcatrequest>\r\n <command>{command}</command>\r\n</xcatrequest>"),
    ]
}

#[test]
fn stock_scripts_get_the_right_lists() {
    if !have("openssl") {
        return;
    }
    let site = Site1::new();
    for (command, wanted) in [
        ("litefile", FILES.as_slice()),
        ("litetree", TREES.as_slice()),
    ] {
        for input in requests(command) {
            let text = node(&site, N01, &input, &filter(command));
            assert_eq!(lines(&text), wanted, "{input}");
        }
    }
    let text = node(&site, N02, &requests("litetree")[0], &filter("litetree"));
    assert_eq!(
        lines(&text),
        ["10.0.0.1:/statelite/n02", "cnfs:/gpfs/dallas"]
    );
}

#[test]
fn the_partition_script_gets_the_file() {
    if !have("openssl") {
        return;
    }
    let site = Site1::new();
    let text = node(
        &site,
        N01,
        &requests("getpartition")[0],
        &filter("getpartition"),
    );
    let sample = include_str!("../samples/partitionfile.sample");
    let mut wanted = vec!["type=format"];
    wanted.extend(lines(sample));
    assert_eq!(lines(&text), wanted);
}

#[test]
fn answers_are_xcats_to_the_byte() {
    let site = Site1::new();
    site.change(|site| {
        use statelite_mgmt::tables::schema::{LITEFILE, LITETREE};
        site.put(
            &LITEFILE,
            vec![row(&LITEFILE, "image=ALL file=/etc/adjtime options=tmpfs")],
        );
        let mut trees = vec![
            row(
                &LITETREE,
                "priority=1 image=ALL directory=10.0.0.1:/statelite/$node",
            ),
            row(
                &LITETREE,
                "priority=2 image=ALL directory=cnfs:/gpfs/dallas/",
            ),
        ];
        trees[1].set(&LITETREE, "mntopts", Some("soft".into()));
        site.put(&LITETREE, trees);
    });
    let request = include_bytes!("../samples/wire.litefile.request.xml");
    run(async {
        let before = site.server().state().keeper.world().generation();
        eventually("the change is seen", || {
            let world = site.server().state().keeper.world();
            world
                .site()
                .rows(&statelite_mgmt::tables::schema::LITEFILE)
                .len()
                == 1
                || world.generation() > before
        })
        .await;
        let reply = site.ask(N01, None, request).await;
        assert_eq!(reply, include_str!("../samples/wire.litefile.response.xml"));
        let reply = site
            .ask(N01, None, &crate::common::request("litetree"))
            .await;
        assert_eq!(reply, include_str!("../samples/wire.litetree.response.xml"));
    });
}

#[test]
fn what_was_told_is_recorded() {
    let site = Site1::new();
    run(async {
        site.ask(N01, None, &request("litefile")).await;
        let dir = site.dir.path();
        let last = || statelite_mgmt::resolve::given::last(dir, "n01").unwrap();
        eventually("the record is there", || last().is_some()).await;
        let given = last().unwrap();
        assert_eq!(given.image, "img");
        assert_eq!(given.litefile, FILES);
        assert_eq!(given.litetree, TREES);
    });
}
