//! Identity of files: from (layer, inode number there) to the number shown as `st_ino`.
//!
//! FUSE through fuser uses one number both as node id and as `st_ino`, so that number has to be
//! unique over all layers, stable across copy-up, and computable again after a restart. An
//! [`identity`] is `layer << 56 | ino`; inode numbers that need more than 56 bits, or that come
//! from another device below the layer root, are folded by a hash. Numbers of layer 255 are given
//! out when an identity is still taken by a file that no longer has a name.

use crate::sys::stat::Stat;
use std::hash::Hasher as _;

/// Number of a layer, part of every identity it gives out.
pub type LayerId = u8;

/// The image.
pub const IMAGE: LayerId = 1;
/// What liteimg moved away inside the image (`/.default`).
pub const IMAGE_DEFAULT: LayerId = 2;
/// The volatile store.
pub const VOLATILE: LayerId = 3;
/// The persistent store.
pub const PERSISTENT: LayerId = 4;
/// The local store.
pub const LOCAL: LayerId = 5;
/// Files that exist in no layer: shown parents of listed paths, concatenations, `/etc/mtab`.
pub const SYNTHETIC: LayerId = 6;
/// What is shown at `/.statelite`.
pub const VIEWS: LayerId = 7;
/// First litetree layer; the others follow.
pub const FIRST_TREE: LayerId = 16;
/// Numbers given out when an identity is taken.
pub const DISPLACED: LayerId = 255;

/// The root directory's number, fixed by the FUSE protocol.
pub const ROOT: u64 = 1;

const BITS: u32 = 56;
const MASK: u64 = (1 << BITS) - 1;

/// Identity of inode `ino` of `layer`.
pub fn of(layer: LayerId, ino: u64) -> u64 {
    let low = if ino & !MASK == 0 { ino } else { fold(ino, 0) };
    (u64::from(layer) << BITS) | low
}

/// Identity of a file found in `layer`, whose root is on device `dev`.
pub fn of_stat(layer: LayerId, dev: (u32, u32), st: &Stat) -> u64 {
    if st.dev == dev {
        of(layer, st.ino)
    } else {
        let device = (u64::from(st.dev.0) << 32) | u64::from(st.dev.1);
        (u64::from(layer) << BITS) | fold(st.ino, device | 1)
    }
}

/// Identity of a synthetic file at `path`.
pub fn of_path(path: &[u8]) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(path);
    of(SYNTHETIC, mix(hasher.finish()) & MASK)
}

/// Number `n` of the displaced range.
pub fn displaced(n: u64) -> u64 {
    (u64::from(DISPLACED) << BITS) | (n & MASK)
}

/// The layer an identity belongs to.
pub fn layer_of(identity: u64) -> LayerId {
    (identity >> BITS) as LayerId
}

fn fold(ino: u64, salt: u64) -> u64 {
    mix(ino ^ mix(salt)) & MASK
}

/// The finaliser of SplitMix64: every input bit reaches every output bit.
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_stay_readable_and_apart() {
        assert_eq!(of(IMAGE, 12), (1 << 56) | 12);
        assert_ne!(of(IMAGE, 12), of(VOLATILE, 12));
        assert_eq!(layer_of(of(PERSISTENT, u64::MAX)), PERSISTENT);
    }

    #[test]
    fn large_numbers_are_folded_deterministically() {
        assert_eq!(of(IMAGE, u64::MAX), of(IMAGE, u64::MAX));
        assert_ne!(of(IMAGE, u64::MAX), of(IMAGE, u64::MAX - 1));
    }
}
