use crate::cluster::Cluster;
use statelite_mgmt::resolve;
use statelite_mgmt::resolve::answer::answer;
use statelite_mgmt::resolve::given::{self, Given};
use statelite_mgmt::tables::Store;

/// Records what the node would be given now, as the server does.
fn give(cluster: &Cluster, node: &str) {
    let db = cluster.dir.path().join("tables.sqlite");
    let site = Store::open(db.to_str().unwrap()).unwrap().site().unwrap();
    let image = resolve::image_of(&site, node).unwrap();
    let given = Given::now(
        &answer(&site, node).unwrap(),
        &image,
        resolve::dialect(&site),
    );
    given::record(cluster.dir.path(), node, &given).unwrap();
}

#[test]
fn a_reboot_changes_what_the_tables_changed() {
    let cluster = Cluster::new();
    cluster.chtab("node=compute", "statelite.statemnt=cnfs:/state");
    cluster.chtab("image=ALL,file=/var/log/", "litefile.options=tmpfs");
    let nothing = |dir: &std::path::Path| {
        format!(
            "Error: nothing is recorded of n01 in {}: it has not asked a server that keeps its records there (state in \
             serve.toml, --state)\n",
            dir.join("given").display()
        )
    };
    assert_eq!(cluster.bad("diff n01"), nothing(cluster.dir.path()));
    give(&cluster, "n01");
    let text = cluster.good("diff n01");
    assert!(
        text.ends_with("A reboot would not change n01: it has what the tables say.\n"),
        "{text}"
    );
    cluster.chtab("image=ALL,file=/var/log/", "litefile.options=persistent");
    cluster.chtab("image=ALL,file=/etc/motd", "litefile.options=ro");
    cluster.chtab("priority=1", "litetree.directory=cnfs:/tree/$node");
    cluster.chtab("node=compute", "statelite.statemnt=cnfs:/state2");
    let done = cluster.run("diff n01");
    assert_eq!(done.code, 1);
    let (head, rest) = done.out.split_once('\n').unwrap();
    assert!(head.starts_with("n01: given 20"), "{head}");
    assert_eq!(
        rest,
        "\
/etc/motd: image -> tree
  reload: shows what the server has there
  reboot: shows the server's content
/var/log: volatile -> persistent
  reload: is copied to the store first; refused if the node has changed it, for files would move
  reboot: is taken from the store, or copied there first; what is in RAM is gone
trees:
  + cnfs:/tree/n01
  the node's own changes stay; the rest is read from the new trees
persistent store: cnfs:/state -> cnfs:/state2
  reload: refused while a rule needs the old one
  reboot: the new store counts; nothing is moved from the old one
A reboot would change n01.
"
    );
    assert_eq!(cluster.run("diff n02").code, 1, "nothing recorded");
    give(&cluster, "n01");
    assert_eq!(cluster.run("diff n01").code, 0);
    cluster.good("noderm n01");
    assert!(!cluster.dir.path().join("given/n01.json").exists());
}

#[test]
fn records_are_looked_for_where_the_server_keeps_them() {
    let cluster = Cluster::new();
    let state = cluster.dir.path().join("elsewhere");
    let config = cluster.dir.path().join("serve.toml");
    std::fs::write(&config, format!("state = \"{}\"\n", state.display())).unwrap();
    let config = config.display();
    let said = cluster.bad(&format!("diff n01 --config {config}"));
    assert!(
        said.contains(&format!("in {}/given: ", state.display())),
        "{said}"
    );
    give(&cluster, "n01");
    std::fs::create_dir(&state).unwrap();
    std::fs::rename(cluster.dir.path().join("given"), state.join("given")).unwrap();
    assert_eq!(cluster.run("diff n01").code, 1);
    for words in [
        format!("diff n01 --config {config}"),
        format!("diff n01 --state {}", state.display()),
    ] {
        assert!(cluster.good(&words).contains("would not change n01"));
    }
    cluster.good(&format!("noderm n01 --config {config}"));
    assert!(!state.join("given/n01.json").exists());
}

#[test]
fn differences_are_json_too() {
    let cluster = Cluster::new();
    cluster.chtab("image=ALL,file=/var/log/", "litefile.options=tmpfs");
    give(&cluster, "n01");
    cluster.chtab("image=ALL,file=/var/log/", "litefile.options=rw");
    cluster.good("nodech n01 nodetype.profile=other");
    let done = cluster.run("diff n01 --json");
    assert_eq!(done.code, 1);
    let json: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(json["reboot"], true);
    assert_eq!(json["image"]["new"], "rhels6.2-x86_64-statelite-other");
    assert_eq!(json["words"][0]["new"], "rw            /var/log/");
    assert_eq!(json["paths"], serde_json::json!([]));
}

#[test]
fn a_damaged_record_says_what_to_do() {
    let cluster = Cluster::new();
    give(&cluster, "n01");
    std::fs::write(cluster.dir.path().join("given/n01.json"), "{}").unwrap();
    let said = cluster.bad("diff n01");
    assert!(said.contains("n01.json is not a record"), "{said}");
    assert!(said.contains("remove it"), "{said}");
    assert!(cluster.bad("diff n99").contains("no node \"n99\""));
}
