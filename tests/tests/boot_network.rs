//! The network of `statelitefs boot`, in a network of its own.

use std::time::Duration;

use statelite_tests::cmd::Cmd;
use statelite_tests::{paths, root_or_skip};

/// A card with an address comes while `statelitefs boot` already waits for a network; nobody answers there. The name
/// of the machine that it sets is that of this place alone.
const LATER: &str = "mount -t sysfs sys /sys || exit; (sleep 1; ip link add d0 type bridge; ip addr add 10.99.0.1/24 dev d0; ip link set d0 up) & \
    exec \"$0\" boot --root /mnt --cmdline 'root=nfs:10.99.0.2:/none XCAT=10.99.0.3 NODE=n01 statelite.timeout=12'";

#[test]
fn a_network_that_somebody_else_brings_up_later_is_taken() {
    if !root_or_skip("a_network_that_somebody_else_brings_up_later_is_taken") {
        return;
    }
    let outcome = Cmd::new("unshare")
        .args(["-n", "-m", "-u", "sh", "-c", LATER])
        .arg(paths::statelitefs().unwrap())
        .limit(Duration::from_secs(60))
        .run()
        .unwrap();
    assert!(!outcome.success(), "{outcome}");
    let said = outcome.stderr.as_str();
    assert!(said.contains("the image"), "{outcome}");
    assert!(!said.contains("the network: "), "{outcome}");
}
