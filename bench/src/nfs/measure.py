# Runs in a node. Readings are made inside this process, so that taking one causes no NFS traffic of its own.
import glob
import os
import sys
import time


def daemon():
    """The process that serves /, or None."""
    for name in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(name, "rb") as file:
                if file.read(1) == b"@":
                    return name.rsplit("/", 1)[0]
        except OSError:
            pass
    return None


def reading():
    """The files of a reading, in the form of `head -v`."""
    served = daemon()
    names = ["/proc/self/mountinfo", "/proc/self/mountstats", "/proc/stat", "/proc/uptime"]
    if served:
        names += [served + "/" + name for name in ("mountinfo", "mountstats", "stat", "status")]
    out = []
    for name in names:
        with open(name) as file:
            out.append("==> " + name + " <==\n" + file.read())
    return "\n".join(out)


def policy():
    """1,000 accesses to volatile paths of the cookbook's table, spread over ten seconds."""
    done = 0

    def step(what, *arguments):
        nonlocal done
        what(*arguments)
        done += 1
        time.sleep(0.01)

    def read(name):
        with open(name, "rb") as file:
            file.read()

    def write(name, how):
        with open(name, how) as file:
            file.write(b"text\n")

    def absent(name):
        if os.path.exists(name):
            raise SystemExit(name + " exists")

    for number in range(100):
        step(os.stat, "/etc/resolv.conf")
        step(read, "/etc/resolv.conf")
        step(read, "/etc/fstab")
        step(write, "/var/tmp/bench", "wb")
        step(read, "/var/tmp/bench")
        step(os.rename, "/var/tmp/bench", "/var/tmp/bench.old")
        step(os.listdir, "/var/log")
        step(os.stat, "/etc/ssh/sshd_config")
        step(write, "/var/log/bench.log", "ab")
        step(absent, "/tmp/none-%d" % number)
    if done != 1000:
        raise SystemExit("%d accesses" % done)


# Of the system itself, the same in every mode.
SYSTEM = ("/dev", "/run", "/run/lock", "/dev/shm", "/sys/fs/cgroup")


def tmpfs():
    """Bytes in each tmpfs that belongs to the mode."""
    seen = set()
    for process in filter(None, ("/proc/self", daemon())):
        with open(process + "/mountinfo") as file:
            lines = [line.split() for line in file]
        for fields in lines:
            if fields[fields.index("-") + 1] != "tmpfs" or fields[2] in seen:
                continue
            seen.add(fields[2])
            place = fields[4]
            if process == "/proc/self" and (place in SYSTEM or place.startswith(("/run/user/", "/run/credentials/"))):
                continue
            room = os.statvfs(process + "/root" + place)
            print((room.f_blocks - room.f_bfree) * room.f_frsize, place)


def main():
    what = sys.argv[1]
    if what == "tmpfs":
        tmpfs()
        return
    before = reading()
    if what == "policy":
        policy()
    else:
        time.sleep(float(what))
    print(before + "\n######\n" + reading())


main()
