#!/bin/sh
# Before sysroot.mount, which systemd makes of root= and which then finds the root mounted.

has_route() {
    while read -r card _; do
        case "$card" in
        Iface | lo) ;;
        *) return 0 ;;
        esac
    done </proc/net/route
    return 1
}

# NetworkManager and the scripts of dracut are waited for by dracut itself, networkd is not. It is given a minute if it
# was told to do something, so that two do not ask for an address at once.
wait_for_networkd() {
    [ -x /usr/lib/systemd/systemd-networkd ] || [ -x /lib/systemd/systemd-networkd ] || return 0
    set -- /run/systemd/network/*.network
    [ -e "$1" ] || return 0
    tries=300
    until has_route || [ "$tries" -eq 0 ]; do
        tries=$((tries - 1))
        sleep 0.2
    done
    # It leaves no resolv.conf; name servers of the lease are in its state.
    if [ ! -s /etc/resolv.conf ] && [ -r /run/systemd/netif/state ]; then
        while IFS='=' read -r key value; do
            [ "$key" = DNS ] || continue
            for server in $value; do
                echo "nameserver $server"
            done
        done </run/systemd/netif/state >/etc/resolv.conf
    fi
}

if [ "${root%%:*}" = statelite ] && ! ismounted "$NEWROOT"; then
    wait_for_networkd
    # Comes back when the root answers. What goes wrong it says on the console, with what to do.
    statelitefs boot --root "$NEWROOT" || emergency_shell "statelitefs could not mount the root"
fi
