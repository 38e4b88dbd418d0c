use crate::cluster::Cluster;

/// A cluster whose image, trees and store are directories of this machine.
fn cluster() -> Cluster {
    let cluster = Cluster::new();
    let base = cluster.dir.path().display().to_string();
    let image = "imagename=rhels6.2-x86_64-statelite-compute";
    cluster.chtab(image, &format!("linuximage.rootimgdir={base}/image"));
    cluster.chtab(
        "priority=1",
        &format!("litetree.directory=localhost:{base}/tree/$node"),
    );
    cluster.chtab("priority=2", "litetree.directory=192.0.2.1:/away");
    cluster.chtab(
        "node=compute",
        &format!("statelite.statemnt=127.0.0.1:{base}/state"),
    );
    for (file, option) in [
        ("/etc/motd", "ro"),
        ("/var/log/", "persistent"),
        ("/var/", "tmpfs"),
    ] {
        cluster.chtab(
            &format!("image=ALL,file={file}"),
            &format!("litefile.options={option}"),
        );
    }
    for path in [
        "image/rootimg/etc/motd",
        "image/rootimg/etc/plain",
        "tree/n01/etc/motd",
        "state/n01/var/log/messages",
    ] {
        let path = cluster.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    cluster
}

#[test]
fn paths_are_explained_with_rows_files_and_writes() {
    let cluster = cluster();
    let base = cluster.dir.path().display().to_string();
    let text = cluster.good("explain n01 /etc/motd");
    let wanted = format!(
        "\
/etc/motd on n01 (image rhels6.2-x86_64-statelite-compute)
  rule       /etc/motd ro, litefile: row 1 (\"ALL\", \"/etc/motd\")
  placement  tree
  searched   tree 1 (localhost:{base}/tree/n01): {base}/tree/n01/etc/motd: a file of 1 byte
             tree 2 (192.0.2.1:/away): cannot be looked at: not mounted on this machine
             image ({base}/image/rootimg): {base}/image/rootimg/etc/motd: a file of 1 byte
  answers    {base}/tree/n01/etc/motd
  a write    is refused (EROFS): change the file in its tree, the node sees it at once
  note       link mode (current dialect) does it with a bind mount (ro)
"
    );
    assert_eq!(text, wanted);
    let text = cluster.good("explain n02 /etc/motd");
    assert!(
        text.contains(&format!("answers    {base}/image/rootimg/etc/motd")),
        "{text}"
    );
    assert!(text.contains("unless tree 1 or tree 2 has it"), "{text}");
    let text = cluster.good("explain n01 /etc/plain");
    assert!(text.contains("rule       none"), "{text}");
    assert!(
        text.contains("is refused (EROFS): no row makes the path writable"),
        "{text}"
    );
}

#[test]
fn explanations_are_json_too() {
    let cluster = cluster();
    let base = cluster.dir.path().display().to_string();
    let json = cluster.good("explain n01 /var/log/messages --json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["placement"], "persistent");
    assert_eq!(json["rule"]["path"], "/var/log");
    assert_eq!(
        json["answers"][0],
        format!("{base}/state/n01/var/log/messages")
    );
    assert_eq!(json["unless"], serde_json::json!([]));
    let write = json["write"].as_str().unwrap();
    assert!(
        write.ends_with("/state/n01/var/log/messages and stays"),
        "{write}"
    );
}

#[test]
fn what_cannot_be_explained_says_why() {
    let cluster = cluster();
    for (words, message) in [
        ("explain n99 /etc", "no node \"n99\" in the nodelist table"),
        ("explain n01 etc", "\"etc\" is no path"),
        ("explain n01 /etc/../x", "is no path"),
    ] {
        assert!(cluster.bad(words).contains(message), "{words}");
    }
}
