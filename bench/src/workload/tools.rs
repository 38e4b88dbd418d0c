//! Rows that run a program people use.

use std::path::Path;
use std::process::Command;

use super::{Amount, Job, Place, Row, TWICE, Unit};

/// The catalogue.
pub const ROWS: &[Row] = &[
    row(
        "walk",
        "find | xargs stat over the whole root",
        1.4,
        Job::Program(walk),
    ),
    row(
        "findls",
        "find -ls over the whole root",
        1.6,
        Job::Program(find_ls),
    ),
    row(
        "tar",
        "tar | cat of its small files",
        1.4,
        Job::Program(tar),
    ),
    row(
        "python",
        "chroot python3, importing some forty modules",
        1.1,
        Job::Chroot(python),
    ),
    row(
        "git",
        "chroot git status of 4,000 files",
        1.8,
        Job::Chroot(git),
    ),
    row(
        "compile",
        "chroot make of 41 C files",
        1.15,
        Job::Chroot(compile),
    ),
];

const fn row(name: &'static str, about: &'static str, goal: f64, job: Job) -> Row {
    let (unit, amount) = (Unit::Seconds, Amount::Once);
    Row {
        name,
        about,
        unit,
        goal: Some(goal),
        phases: TWICE,
        amount,
        job,
    }
}

fn walk(place: &Place<'_>) -> Command {
    pipeline(place, "find . -print0 | xargs -0 stat -c %s >/dev/null")
}

fn find_ls(place: &Place<'_>) -> Command {
    pipeline(place, "find . -ls >/dev/null")
}

/// GNU tar does not read the files when it writes to /dev/null itself, hence `cat`.
fn tar(place: &Place<'_>) -> Command {
    let members = place.tree.small_files.join(" ");
    pipeline(place, &format!("tar cf - {members} | cat >/dev/null"))
}

fn pipeline(place: &Place<'_>, script: &str) -> Command {
    let mut bash = Command::new("bash");
    let script = format!("cd \"$0\" && {script}");
    bash.args(["-o", "pipefail", "-c", &script])
        .arg(place.mnt)
        .env("LC_ALL", "C");
    bash
}

/// Standard library modules, and requests where the root has it.
const IMPORTS: &str = "\
import argparse, ast, asyncio, bz2, calendar, concurrent.futures, configparser, csv, ctypes, dataclasses, datetime
import decimal, difflib, email.message, fractions, glob, gzip, hashlib, html.parser, http.client, inspect, json
import logging.handlers, lzma, multiprocessing, pathlib, pickle, platform, queue, random, re, sched, secrets, shutil
import sqlite3, ssl, statistics, string, subprocess, tarfile, tempfile, threading, typing, unittest, urllib.request
import uuid, xml.etree.ElementTree, zipfile
try:
    import requests
except ImportError:
    pass
";

fn python(place: &Place<'_>) -> Command {
    let mut chroot = in_chroot(place.mnt, "python3");
    chroot.args(["-B", "-c", IMPORTS]);
    chroot
}

/// Without optional locks git does not rewrite its index, so that every run finds the same.
fn git(place: &Place<'_>) -> Command {
    let mut chroot = in_chroot(place.mnt, "git");
    chroot
        .args(["-C", "/bench/git", "status", "--porcelain"])
        .env("GIT_OPTIONAL_LOCKS", "0");
    chroot
}

fn compile(place: &Place<'_>) -> Command {
    let mut chroot = in_chroot(place.mnt, "make");
    chroot.args(["-s", "-j1", "-C", "/bench/cc"]);
    chroot
        .arg(format!("O=/bench/work/objects-{}", place.turn))
        .arg(format!("N={}", place.scale.sources));
    chroot
}

/// A program of the tree, with the tree as its root and all temporary files in the writable place.
pub fn in_chroot(root: &Path, program: &str) -> Command {
    let mut chroot = Command::new("chroot");
    chroot.arg(root).arg(program).env_clear().current_dir("/");
    chroot
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .env("HOME", "/root");
    chroot.env("TMPDIR", "/bench/work");
    chroot
}
