#!/bin/sh
# Before sysroot.mount, which systemd makes of root= and which then finds the root mounted.
if [ "${root%%:*}" = statelite ] && ! ismounted "$NEWROOT"; then
    # Comes back when the root answers. What goes wrong it says on the console, with what to do.
    statelitefs boot --root "$NEWROOT" || emergency_shell "statelitefs could not mount the root"
fi
