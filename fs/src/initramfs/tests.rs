use super::*;

/// One device of each driver, as `depmod` writes it.
const ALIAS: &str = "alias virtio:d00000001v* virtio_net\n\
    alias pci:v00008086d0000100Esv*sd*bc*sc*i* e1000\nalias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e\n\
    alias pci:v00008086d00001521sv*sd*bc*sc*i* igb\nalias pci:v00008086d000015F2sv*sd*bc*sc*i* igc\n\
    alias pci:v00008086d000010FBsv*sd*bc*sc*i* ixgbe\nalias pci:v00008086d00001572sv*sd*bc*sc*i* i40e\n\
    alias pci:v00008086d00001592sv*sd*bc*sc*i* ice\nalias pci:v000010ECd00008168sv*sd*bc*sc*i* r8169\n\
    alias pci:v000014E4d00001657sv*sd*bc*sc*i* tg3\nalias pci:v000014E4d0000168Esv*sd*bc*sc*i* bnx2x\n\
    alias pci:v000014E4d000016D8sv*sd*bc*sc*i* bnxt_en\nalias pci:v000015B3d00001003sv*sd*bc*sc*i* mlx4_core\n\
    alias auxiliary:mlx4_core.eth mlx4_en\nalias pci:v000015B3d00001017sv*sd*bc*sc*i* mlx5_core\n\
    alias pci:v000019A2d00000710sv*sd*bc*sc*i* be2net\nalias pci:v000015ADd000007B0sv*sd*bc*sc*i* vmxnet3\n\
    alias acpi*:VMBus:* hv_vmbus\nalias acpi*:VMBUS:* hv_vmbus\n\
    alias vmbus:635161f83edfc546913ff2d2f965ed0e hv_netvsc\nalias pci:v00001D0Fd0000EC20sv*sd*bc*sc*i* ena\n\
    alias pci:v00001AE0d00000042sv*sd*bc*sc*i* gve\n";

fn tree(alias: &str) -> Tree {
    let mut dep = String::from("k/mlx4_core.ko:\nk/hv_vmbus.ko:\n");
    for name in CARDS {
        let needs = BROUGHT.iter().find(|(brought, _)| *brought == name);
        let needs = needs.map_or(String::new(), |(_, bringer)| format!(" k/{bringer}.ko"));
        dep.push_str(&format!("k/{name}.ko:{needs}\n"));
    }
    Tree::parse(&dep, alias, "", "")
}

/// Names of the modules that are loaded for a device.
fn loaded(tree: &Tree, device: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in CARDS {
        let lines = driver(tree, name, &tree.resolve(name).unwrap());
        for (pattern, files) in lines.lines().filter_map(|line| line.split_once(' ')) {
            if modules::matches(pattern, device) {
                found.extend(files.split(' ').map(|file| {
                    let name = file.strip_prefix("lib/modules/").unwrap();
                    name.strip_suffix(".ko").unwrap().to_owned()
                }));
            }
        }
    }
    found
}

#[test]
fn every_card_is_found_by_a_device_that_is_there_from_the_start() {
    let tree = tree(ALIAS);
    for name in CARDS {
        let lines = driver(&tree, name, &tree.resolve(name).unwrap());
        let from_start = |line: &str| {
            ["pci:", "acpi*:", "virtio:"]
                .iter()
                .any(|bus| line.starts_with(bus))
        };
        assert!(lines.lines().any(from_start), "{name}: {lines}");
    }
}

#[test]
fn what_a_module_brings_is_loaded_with_it() {
    let tree = tree(ALIAS);
    assert_eq!(
        loaded(
            &tree,
            "pci:v000015B3d00001003sv000015B3sd00000055bc02sc00i00"
        ),
        ["mlx4_core", "mlx4_en"]
    );
    assert_eq!(loaded(&tree, "acpi:VMBUS:"), ["hv_vmbus", "hv_netvsc"]);
    assert_eq!(
        loaded(&tree, "vmbus:635161f83edfc546913ff2d2f965ed0e"),
        ["hv_vmbus", "hv_netvsc"]
    );
    assert_eq!(
        loaded(
            &tree,
            "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00"
        ),
        ["e1000"]
    );
}
