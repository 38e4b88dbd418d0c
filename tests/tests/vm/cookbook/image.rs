//! Sections 2.8 to 2.11: the image.

use std::fs;

use anyhow::{Context, Result, ensure};
use statelite_tests::cmd::Cmd;
use statelite_tests::vm::image::USER;
use statelite_tests::vm::kernel::Kernel;

use super::book::{Book, IMAGE, IMAGE_DIR};

const SCRIPT: &str = "/install/custom/netboot/debian/compute.postinstall";

/// "First you should copy the basic setup supplied in the appropriate *postinstall files. You can add more."
pub fn postinstall(book: &mut Book) -> Result<()> {
    book.run(&format!(
        "cp /usr/share/statelite/netboot/debian/compute.postinstall {SCRIPT}"
    ))?;
    book.run(&format!(
        "echo 'install -d -o 1000 -g 1000 \"$1/home/{USER}\"; echo \"$2 $3 $4 $IMG_NAME\" >\"$1/etc/made-for\"' >>{SCRIPT}"
    ))?;
    Ok(())
}

/// "It is time to create a base image."
pub fn genimage(book: &mut Book) -> Result<()> {
    let genimage = "genimage -o debian12 -p compute -i eth0 -n mlx4_core,mlx4_en,igb,bnx2 -m statelite --mode links";
    // It alone needs the way to the package archive.
    book.mn
        .online(&format!("{genimage} --permission 777"))
        .check()?;
    for name in [
        "rootimg/usr/bin/python3",
        "kernel",
        "initrd-statelite.gz",
        "initrd.gz",
    ] {
        book.run(&format!("test -s {IMAGE_DIR}/{name}"))?;
    }
    book.prints(
        &format!("stat -c %a {IMAGE_DIR}/rootimg/.statelite"),
        "777\n",
    )?;
    book.run(&format!(
        "chtab imagename={IMAGE} linuximage.addkcmdline='net.ifnames=0 systemd.getty_auto=no panic=-1'"
    ))?;
    Ok(())
}

/// "The $profile.postinstall will get called before genimage is done."
pub fn scripts_have_run(book: &mut Book) -> Result<()> {
    book.prints(
        &format!("cat {IMAGE_DIR}/rootimg/etc/made-for"),
        &format!("debian12 x86_64 compute {IMAGE}\n"),
    )
}

/// "You can edit the image directly", chroot, add_passwd, add_ssh.
pub fn modify(book: &mut Book) -> Result<()> {
    let root = format!("{IMAGE_DIR}/rootimg");
    book.run(&format!(
        "cd {root} && mkdir -p var/lib/kept && echo 'from the image' >etc/kept.conf"
    ))?;
    book.run(&format!("chroot {root} useradd --system sitedaemon"))?;
    book.run(&format!("add_passwd {root}"))?;
    book.run(&format!("add_ssh {root}"))?;
    let shadow = format!("grep -c '^root:\\$' {root}/etc/shadow");
    book.prints(&shadow, "1\n")?;
    book.prints(&format!("grep -c '^{USER}:' {root}/etc/passwd"), "1\n")?;
    book.run(&format!(
        "cmp /etc/statelite/hostkeys/ssh_host_ed25519_key {root}/etc/ssh/ssh_host_ed25519_key"
    ))?;
    Ok(())
}

/// "Copy the kernel into /boot, the kernel modules into /lib/modules, run genimage."
pub fn kernel(book: &mut Book) -> Result<()> {
    let new = Kernel::V6_12.files()?;
    let release = &new.release;
    let file = format!("boot/vmlinuz-{release}");
    fs::copy(new.root.join(&file), book.mn.inside(&file)).with_context(|| file.clone())?;
    fs::create_dir_all(book.mn.inside("/usr/lib/modules"))?;
    Cmd::new("cp")
        .arg("-a")
        .arg(new.root.join("lib/modules").join(release))
        .arg(book.mn.inside("/usr/lib/modules"))
        .check()?;
    let before = book.run(&format!("sha256sum <{IMAGE_DIR}/kernel"))?;
    book.run(&format!(
        "genimage -i eth0 -n ehea -o debian12 -p compute -m statelite -k {release} --onlyinitrd"
    ))?;
    book.run(&format!(
        "test -d {IMAGE_DIR}/rootimg/lib/modules/{release}"
    ))?;
    book.run(&format!("cmp /boot/vmlinuz-{release} {IMAGE_DIR}/kernel"))?;
    ensure!(
        book.run(&format!("sha256sum <{IMAGE_DIR}/kernel"))? != before,
        "the kernel is the old one"
    );
    Ok(())
}
