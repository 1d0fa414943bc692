//! Tells the binary which commit it was built from.

use std::{env, process::Command};

#[expect(clippy::disallowed_methods, reason = "a build script is configured by its environment")]
fn main() {
    println!("cargo:rerun-if-env-changed=MESHHOOK_ERRORS_COMMIT");
    // Only releases ask git: a debug build would otherwise be made anew after every commit.
    let asked = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if asked {
        // HEAD names a branch, and stays as it is when the branch gets a commit; its log does not. In a
        // work tree both lie elsewhere. A file that is missing would count as changed every time.
        for name in ["HEAD", "logs/HEAD"] {
            let path = git(&["rev-parse", "--git-path", name]);
            if let Some(path) = path.filter(|path| std::path::Path::new(path).exists()) {
                println!("cargo:rerun-if-changed={path}");
            }
        }
    }
    let commit = env::var("MESHHOOK_ERRORS_COMMIT")
        .ok()
        .or_else(|| asked.then(commit_of_checkout).flatten())
        .unwrap_or_else(|| if asked { "no commit known".into() } else { "debug build".into() });
    println!("cargo:rustc-env=MESHHOOK_ERRORS_BUILT_FROM={commit}");
}

/// The checked-out commit, marked where files differ from it.
fn commit_of_checkout() -> Option<String> {
    git(&["describe", "--always", "--dirty", "--exclude=*"])
}

/// What git answers, if anything.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
