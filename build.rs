//! Tells the binary which commit it was built from.

use std::{env, process::Command};

#[expect(clippy::disallowed_methods, reason = "a build script is configured by its environment")]
fn main() {
    println!("cargo:rerun-if-env-changed=MESHHOOK_ERRORS_COMMIT");
    // Only releases ask git: a debug build would otherwise be made anew after every commit.
    let asked = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if asked {
        println!("cargo:rerun-if-changed=.git/HEAD");
    }
    let commit = env::var("MESHHOOK_ERRORS_COMMIT")
        .ok()
        .or_else(|| asked.then(commit_of_checkout).flatten())
        .unwrap_or_else(|| if asked { "no commit known".into() } else { "debug build".into() });
    println!("cargo:rustc-env=MESHHOOK_ERRORS_BUILT_FROM={commit}");
}

/// The checked-out commit, marked where files differ from it.
fn commit_of_checkout() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
