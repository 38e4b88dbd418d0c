#!/bin/sh
# The root is ours if the command line is one that nodeset writes, or has keys of ours.
if getarg XCAT= >/dev/null || getarg NFSROOT= >/dev/null || getarg statelite.root= >/dev/null || getarg statelite.policy= >/dev/null; then
    # Keeps dracut from looking for a device of this name.
    root=statelite
    # shellcheck disable=SC2034
    rootok=1
    # shellcheck disable=SC2034
    netroot=
    # Has a network service in this initramfs do its work. Without one statelitefs brings the network up itself.
    mkdir -p /etc/cmdline.d
    echo rd.neednet=1 >/etc/cmdline.d/60-statelitefs.conf
fi
