//! `plan` says what `reload` then does, and changes nothing.

mod common;

use std::fs;

use anyhow::Result;
use common::snapshot::snapshot;
use common::{World, append, same};
use serde_json::{Value, json};
use statelite_tests::cmd::End;

/// Every way to use a path, as a rule has it; the image has none.
const OPTIONS: [Option<&str>; 5] = [
    None,
    Some("ro"),
    Some("tmpfs"),
    Some("persistent"),
    Some("localdisk"),
];

/// Rules for `/d/` beside one that stays.
fn rules(option: Option<&'static str>) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![("/stays/", "tmpfs")];
    all.extend(option.map(|option| ("/d/", option)));
    all
}

/// What a change from one to the other does, if the node has `own` files there.
fn effect(from: Option<&str>, to: Option<&str>, own: bool) -> &'static str {
    let store = |option| matches!(option, Some("persistent" | "localdisk"));
    match (from, to) {
        (Some("tmpfs"), to) if own && store(to) => "refused",
        (Some("tmpfs"), _) if own => "parked",
        (from, to) if store(from) && (to == Some("tmpfs") || store(to)) => "refused",
        (from, _) if store(from) => "left",
        (_, to) if store(to) => "copied",
        (_, Some("tmpfs")) => "writable",
        _ => "shown",
    }
}

#[test]
fn every_change_is_told_and_then_done() -> Result<()> {
    for from in OPTIONS {
        for to in OPTIONS.into_iter().filter(|to| *to != from) {
            for own in [false, true] {
                let writable = !matches!(from, None | Some("ro"));
                if own && !writable {
                    continue;
                }
                let Some(mut world) = World::new("plan")? else {
                    return Ok(());
                };
                world.put("image/d/f", "image")?;
                world.spec.rules = rules(from)
                    .into_iter()
                    .map(|(path, option)| (path.to_owned(), option.to_owned()))
                    .collect();
                world.start()?;
                // Looking at it seeds a store, whose copy is the node's own from then on.
                fs::read(world.m("d/f"))?;
                if own {
                    append(world.m("d/f"), b"+mine")?;
                }
                let what = format!("{from:?} -> {to:?}, own files: {own}");
                let wanted = effect(from, to, own);
                let (shown, stored) = (snapshot(&world.m(""))?, snapshot(&world.at("per"))?);
                let generation = world.status()?.number("generation")?;
                let told = world.plan(&rules(to))?;
                let plan: Value = serde_json::from_str(&told.stdout)?;
                same(plan["steps"].as_array().map_or(0, Vec::len), 1, &what)?;
                same(&plan["steps"][0]["path"], &json!("/d"), &what)?;
                same(&plan["steps"][0]["effect"], &json!(wanted), &what)?;
                let loses = matches!(wanted, "refused" | "parked" | "left");
                same(told.end, End::Code(i32::from(loses)), &what)?;
                same(world.status()?.number("generation")?, generation, &what)?;
                same(snapshot(&world.m(""))? == shown, true, &what)?;
                same(snapshot(&world.at("per"))? == stored, true, &what)?;

                let done = world.reload(&rules(to))?;
                same(done.success(), wanted != "refused", &what)?;
                if done.success() {
                    let report: Value = serde_json::from_str(&done.stdout)?;
                    let parked = if wanted == "parked" {
                        json!(["/d"])
                    } else {
                        json!([])
                    };
                    same(&report["parked"], &parked, &what)?;
                    let again = world.plan(&rules(to))?;
                    same(again.end, End::Code(0), &what)?;
                    same(
                        serde_json::from_str::<Value>(&again.stdout)?,
                        json!({"steps": []}),
                        &what,
                    )?;
                }
                world.stop()?;
            }
        }
    }
    Ok(())
}

#[test]
fn what_comes_back_and_what_is_wrong_is_told() -> Result<()> {
    let Some(world) = World::new("plan-back")? else {
        return Ok(());
    };
    let mut world = world.rule("/d/", "tmpfs");
    world.put("image/d/f", "image")?;
    world.put("per/e/f", "stored")?;
    world.start()?;
    append(world.m("d/f"), b"+mine")?;
    world.reload_ok(&[("/d/", "ro")])?;
    let told = world.plan(&[("/d/", "tmpfs"), ("/e/", "persistent")])?;
    same(told.end, End::Code(0), "nothing is lost")?;
    let plan: Value = serde_json::from_str(&told.stdout)?;
    let effects: Vec<&Value> = (0..2).map(|at| &plan["steps"][at]["effect"]).collect();
    same(effects, [&json!("comes-back"), &json!("stored")], "effects")?;
    for bad in [("/d/", "nonsense"), ("d/", "tmpfs"), ("/d/", "con")] {
        let told = world.plan(&[bad])?;
        same(told.end, End::Code(2), &told.text())?;
    }
    Ok(())
}
