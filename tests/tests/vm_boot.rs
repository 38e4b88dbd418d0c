//! Nodes that boot: the baseline, then our daemon, on the same image, tables and servers.

mod vm;

use statelite_tests::vm::kernel::Kernel;
use statelite_tests::vm::site::{Mode, Nfs, Site, Spec};
use statelite_tests::vm::turn;

#[test]
fn the_baseline_boots_works_and_switches_off() {
    if !vm::can_run("the_baseline_boots_works_and_switches_off") {
        return;
    }
    let _turn = turn().unwrap();
    let site = Site::new("baseline").unwrap();
    for (kernel, nfs) in [(Kernel::V6_12, Nfs::V3), (Kernel::V6_1, Nfs::V41)] {
        let mut spec = Spec::new(1, Mode::Overlay);
        (spec.kernel, spec.nfs) = (kernel, nfs);
        let (mut node, boot) = vm::boot(&site, &spec).unwrap();
        assert!(boot.calls > 1000, "{boot:?}");
        vm::works_as_a_machine(&mut node).unwrap();
        let seconds = vm::power_off(&mut node).unwrap();
        eprintln!("switched off in {seconds:.0} s");
    }
}
