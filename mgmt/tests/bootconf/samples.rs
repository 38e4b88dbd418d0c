//! The sample files, reproduced byte for byte from table rows.

use super::world::World;
use statelite_mgmt::bootconf::loader::Alias;

fn sample(name: &str) -> String {
    let path = format!("{}/tests/samples/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn aliases(world: &mut World) -> Vec<String> {
    let show = |alias: Alias| match alias {
        Alias::Hard(path) => format!("{path} =="),
        Alias::Symbolic(path, target)
        | Alias::Loader(path, target)
        | Alias::Shared(path, target) => {
            format!("{path} -> {target}")
        }
    };
    world.usual().aliases.into_iter().map(show).collect()
}

#[test]
fn every_current_sample_is_reproduced() {
    for (netboot, name, path, names) in [
        (
            "pxe",
            "pxelinux.current.cfg",
            "pxelinux.cfg/n01",
            &["pxelinux.cfg/AC0A0101 -> n01"][..],
        ),
        ("xnba", "xnba.current", "xcat/xnba/nodes/n01", &[]),
        (
            "grub2",
            "grub2.current.cfg",
            "boot/grub2/n01",
            &[
                "boot/grub2/grub.cfg-AC0A0101 ==",
                "boot/grub2/grub.cfg-01-52-54-00-ab-cd-ef ==",
                "boot/grub2/grub2-n01 -> grub2.x86_64",
            ],
        ),
        (
            "petitboot",
            "petitboot.current.cfg",
            "petitboot/n01",
            &["AC0A0101 =="],
        ),
    ] {
        let mut world = World::current();
        world.netboot(netboot);
        let plan = world.usual();
        assert_eq!(plan.files[0].0, path);
        assert_eq!(plan.files[0].1, sample(name), "{name}");
        assert_eq!(aliases(&mut world), names, "{name}");
        assert_eq!(plan.tftpdir.to_str(), Some("/tftpboot"));
        assert_eq!(plan.state, "statelite rhels9.4-x86_64-compute");
    }
}

#[test]
fn the_pxelinux_file_of_the_cookbook() {
    // Both commands of §2.13.
    for state in ["statelite=rhel5.3-x86_64-statelite-compute", "statelite"] {
        let mut world = World::seed("x86_64");
        world.console();
        world.set("statelite", "all", &[("statemnt", "cnfs:/gpfs/state")]);
        let plan = world.plan(state);
        assert_eq!(plan.files[0].1, sample("pxelinux.seed.cfg"), "{state}");
        assert_eq!(
            plan.copies[0].to.to_str(),
            Some("/tftpboot/xcat/netboot/rhel5.3/x86_64/compute/kernel")
        );
        assert_eq!(
            plan.copies[1].to.to_str(),
            Some("/tftpboot/xcat/netboot/rhel5.3/x86_64/compute/initrd.gz")
        );
    }
}

#[test]
fn the_yaboot_file_of_the_cookbook() {
    let mut world = World::seed("ppc64");
    world.set(
        "noderes",
        "all",
        &[("xcatmaster", "192.168.11.108"), ("netboot", "yaboot")],
    );
    let plan = world.usual();
    assert_eq!(plan.files[0].0, "etc/n01");
    assert_eq!(plan.files[0].1, sample("yaboot.seed.conf"));
    assert_eq!(
        aliases(&mut world),
        ["etc/ac0a0101 ==", "yaboot.conf-52-54-00-ab-cd-ef =="]
    );
}
