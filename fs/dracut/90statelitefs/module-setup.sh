#!/bin/bash
# dracut module: statelitefs mounts the root. Put this directory below /usr/lib/dracut/modules.d and build with
#   dracut --no-hostonly --no-hostonly-cmdline --add statelitefs INITRD KERNELVERSION

# Only when asked for: a machine with a disk does not want it.
check() {
    require_binaries statelitefs || return 1
    return 255
}

depends() {
    echo base kernel-modules kernel-network-modules
}

# Network file systems and FUSE; drivers of network cards come with kernel-network-modules.
installkernel() {
    hostonly='' instmods nfs nfsv3 nfsv4 fuse af_packet overlay virtio_net virtio_pci
}

install() {
    inst_binary "$(command -v statelitefs)" /usr/bin/statelitefs
    inst_simple /etc/statelite/ca.pem
    # File capabilities of the image, which this runs in; NFS does not carry them.
    mkdir -p "$initdir/etc/statelite"
    statelitefs capabilities / > "$initdir/etc/statelite/capabilities" || return 1
    inst_multiple -o sh
    inst_hook cmdline 05 "$moddir/claim-root.sh"
    inst_hook pre-mount 05 "$moddir/mount-root.sh"
    dracut_need_initqueue
}
