use super::*;
use crate::tables::Row;
use crate::tables::schema::{LITETREE, NODELIST, NODEPOS, STATELITE};

fn site() -> Site {
    let mut site = Site::default();
    for (node, room) in [("n1", "dallas"), ("n2", "tokyo")] {
        let row = Row::new(&NODELIST).with(&NODELIST, "node", node);
        site.add(&NODELIST, row.with(&NODELIST, "groups", "all"));
        let row = Row::new(&NODEPOS).with(&NODEPOS, "node", node);
        site.add(&NODEPOS, row.with(&NODEPOS, "room", room));
    }
    let mut row = Row::new(&NODETYPE).with(&NODETYPE, "node", "all");
    for (column, value) in [
        ("os", "rhels5.3"),
        ("arch", "x86_64"),
        ("profile", "compute"),
    ] {
        row = row.with(&NODETYPE, column, value);
    }
    site.add(&NODETYPE, row);
    for (priority, directory) in [
        ("1", "10.0.0.1:/syncdirs/$nodepos.room/"),
        ("2", "cnfs:/gpfs/dallas/"),
    ] {
        let row = Row::new(&LITETREE).with(&LITETREE, "priority", priority);
        site.add(&LITETREE, row.with(&LITETREE, "directory", directory));
    }
    let row = Row::new(&STATELITE).with(&STATELITE, "node", "all");
    site.add(
        &STATELITE,
        row.with(&STATELITE, "statemnt", "cnfs:/gpfs/state"),
    );
    site
}

fn nodes() -> Vec<String> {
    ["n1", "n2"].map(str::to_owned).to_vec()
}

fn known(site: &Site) -> Vec<Export> {
    let found = of_nodes(site, &nodes());
    assert_eq!(found.failed, []);
    found.exports
}

#[test]
fn a_node_without_an_image_stops_no_other() {
    let mut site = site();
    site.add(
        &NODELIST,
        Row::new(&NODELIST).with(&NODELIST, "node", "sn1"),
    );
    let nodes = ["n1", "sn1", "n2"].map(str::to_owned);
    let found = of_nodes(&site, &nodes);
    assert_eq!(found.exports, known(&self::site()));
    let incomplete = ResolveError::Incomplete {
        node: "sn1".into(),
        column: "os",
    };
    assert_eq!(found.failed, [("sn1".to_owned(), incomplete)]);
}

#[test]
fn lines_by_server() {
    let exports = known(&site());
    let text = lines(&exports, &Style::default());
    assert_eq!(
        text,
        "# the server of the images\n\
         /install/netboot/rhels5.3/x86_64/compute/rootimg *(ro,no_root_squash,sync,no_subtree_check)\n\
         # 10.0.0.1\n\
         /syncdirs/dallas *(ro,no_root_squash,sync,no_subtree_check)\n\
         /syncdirs/tokyo *(ro,no_root_squash,sync,no_subtree_check)\n\
         # cnfs\n\
         /gpfs/dallas *(ro,no_root_squash,sync,no_subtree_check)\n\
         /gpfs/state *(rw,no_root_squash,sync,no_subtree_check)\n"
    );
}

#[test]
fn as_xcat_writes_them() {
    let exports = known(&site());
    let style = Style {
        clients: "10.0.0.0/8".to_owned(),
        insecure: true,
        writable_trees: true,
    };
    let wanted = "/gpfs/dallas 10.0.0.0/8(rw,no_root_squash,sync,no_subtree_check,insecure)\n";
    assert!(lines(&exports, &style).contains(wanted));
}

#[test]
fn a_directory_below_another_of_the_same_kind_has_no_line() {
    let export = |path: &str, content| Export {
        server: None,
        path: path.to_owned(),
        content,
    };
    let exports = [
        export("/s", Content::Tree),
        export("/s/a", Content::Tree),
        export("/s/state", Content::Persistent),
        export("/s/state/deep", Content::Persistent),
        export("/sx", Content::Tree),
        export("/sx", Content::Persistent),
    ];
    let text = lines(&exports, &Style::default());
    let short: Vec<&str> = text
        .lines()
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(
        short,
        [
            "# the server of the images",
            "/s *(ro",
            "/s/state *(rw",
            "/sx *(rw"
        ]
    );
}

#[test]
fn image_directories() {
    for (table, column, value, wanted) in [
        (
            &NODERES,
            "nfsdir",
            "/nfs",
            "/nfs/netboot/rhels5.3/x86_64/compute/rootimg",
        ),
        (&NODERES, "nfsdir", "//exact", "/exact/rootimg"),
        (&LINUXIMAGE, "rootimgdir", "/images/c/", "/images/c/rootimg"),
    ] {
        let mut site = site();
        let key = table.keys[0];
        let name = if key == "node" {
            "all"
        } else {
            "rhels5.3-x86_64-statelite-compute"
        };
        site.add(
            table,
            Row::new(table)
                .with(table, key, name)
                .with(table, column, value),
        );
        let exports = known(&site);
        let image = exports
            .iter()
            .find(|export| export.content == Content::Image);
        assert_eq!(image.unwrap().path, wanted);
    }
}

#[test]
fn the_images_server_is_the_first_that_the_tables_name() {
    let mut site = site();
    let row = Row::new(&NODERES).with(&NODERES, "node", "n1");
    let row = row.with(&NODERES, "nfsserver", "<xcatmaster>");
    site.add(&NODERES, row.with(&NODERES, "xcatmaster", "sn1"));
    assert_eq!(image_servers(&site, "n1"), [Some("sn1".to_owned())]);
    assert_eq!(image_servers(&site, "n2"), [None]);
}

#[test]
fn odd_characters_are_escaped() {
    assert_eq!(escaped("/a b#c"), "/a\\040b\\043c");
}

#[test]
fn ganesha_blocks() {
    let exports = known(&site());
    let text = ganesha(&exports, &Style::default());
    insta::assert_snapshot!(text);
}

#[test]
fn service_nodes_with_boot_files_of_their_own_export_images() {
    use crate::tables::schema::{HOSTS, SITE};
    let mut site = site();
    let row = Row::new(&NODERES).with(&NODERES, "node", "n1");
    let row = row.with(&NODERES, "nfsserver", MASTER_WORD);
    site.add(&NODERES, row.with(&NODERES, "servicenode", "sn1,sn2"));
    let images = |site: &Site| {
        let all = known(site).into_iter();
        let images = all.filter(|export| export.content == Content::Image);
        images.map(|export| export.server).collect::<Vec<_>>()
    };
    assert_eq!(images(&site), [None]);
    let row = Row::new(&SITE).with(&SITE, "key", "sharedtftp");
    site.add(&SITE, row.with(&SITE, "value", "0"));
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(images(&site), [None, named("sn1"), named("sn2")]);
    // What a service node exports, by whatever name the tables have for it.
    let row = Row::new(&HOSTS).with(&HOSTS, "node", "sn1");
    site.add(&HOSTS, row.with(&HOSTS, "ip", "10.0.0.1"));
    let lookup = Lookup {
        name: |_| None,
        facing: |_| None,
        serving: None,
    };
    let mut own = known(&site);
    own.retain(|export| is_of(export, &site, "sn1", lookup));
    let paths: Vec<_> = own.iter().map(|export| export.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/syncdirs/dallas",
            "/syncdirs/tokyo",
            "/install/netboot/rhels5.3/x86_64/compute/rootimg"
        ]
    );
}
