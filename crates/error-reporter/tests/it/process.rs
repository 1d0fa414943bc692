//! Processes that end: what they leave on disk, and who delivers it.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use error_reporter::{Context, Reporter, Severity, Token};
use futures_util::FutureExt;

use crate::support::{
    Folder, boom, options,
    postgrest::{Fault, Postgrest},
    until,
};

const SOON: Duration = Duration::from_secs(10);

/// A reporter whose process is gone in the middle of an outage: its runtime vanishes with the task,
/// and its folder carries the number of a process that no longer exists.
fn die_with_events(server: &Postgrest, folder: &Folder, events: usize) -> PathBuf {
    let mut options = options(server);
    options.spool_dir = Some(folder.0.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async {
                let reporter = Reporter::start(options).unwrap();
                for number in 0..events {
                    let severity = Severity::ALL[number % 3];
                    let context = Context::new().severity(severity);
                    reporter.capture(&boom(format!("event {number}")), context);
                }
                until("all on disk", || folder.lines() == events).await;
            });
            runtime.shutdown_background();
        });
    });
    let left = fs::read_dir(&folder.0).unwrap().next().unwrap().unwrap().path();
    let name = left.file_name().unwrap().to_string_lossy().into_owned();
    let dead = name.replace(&format!("~{}~", std::process::id()), "~4194399~");
    assert_ne!(name, dead);
    let dead = folder.0.join(dead);
    fs::rename(&left, &dead).unwrap();
    dead
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_had_on_disk_is_delivered_by_the_next_but_for_a_torn_line() {
    let server = Postgrest::start().await;
    server.with(|state| state.fault = Some(Fault::Reset));
    let folder = Folder::new();
    die_with_events(&server, &folder, 60);
    let torn = folder.files().into_iter().next().unwrap();
    let mut torn = fs::OpenOptions::new().append(true).open(torn).unwrap();
    torn.write_all(br#"{"error_id":"0190b0a0-0000-7000-8000-00000000000"#).unwrap();

    server.with(|state| state.fault = None);
    let mut options = options(&server);
    options.spool_dir = Some(folder.0.clone());
    let reporter = Reporter::start(options).unwrap();
    until("all of it", || server.count() == 60).await;
    assert!(reporter.close(SOON).await.delivered);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "nothing is left behind");
    assert_eq!(server.with(|state| state.repeated), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_of_a_living_process_is_left_alone() {
    let server = Postgrest::start().await;
    server.with(|state| state.fault = Some(Fault::Reset));
    let folder = Folder::new();
    let dead = die_with_events(&server, &folder, 9);
    // The number of a process that certainly lives: the one that started all others.
    let name = dead.file_name().unwrap().to_string_lossy().replace("~4194399~", "~1~");
    let alive = folder.0.join(name);
    fs::rename(&dead, &alive).unwrap();
    server.with(|state| state.fault = None);
    let start = || {
        let mut options = options(&server);
        options.spool_dir = Some(folder.0.clone());
        Reporter::start(options).unwrap()
    };
    let reporter = start();
    reporter.capture(&boom("own"), Context::new());
    assert!(reporter.close(SOON).await.delivered);
    assert_eq!(server.count(), 1);
    assert_eq!(folder.lines(), 9);
    // Untouched for more than a minute it is abandoned, whoever has that number now.
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::open(&alive).unwrap().set_modified(old).unwrap();
    let reporter = start();
    until("all of it", || server.count() == 10).await;
    assert!(reporter.close(SOON).await.delivered);
}

#[tokio::test]
async fn events_of_the_javascript_reporter_are_taken_over_too() {
    let server = Postgrest::start().await;
    let folder = Folder::new();
    let host = hostname::get().unwrap().to_string_lossy().into_owned();
    let theirs = folder.0.join(format!("{host}~4194399~1763800000000~0a1b2c3d"));
    fs::create_dir_all(&theirs).unwrap();
    let row = serde_json::json!({
        "error_id": "0190b0a0-0000-7000-8000-000000000001", "timestamp": "2026-11-22T10:00:00.000Z",
        "source": "worker", "error_type": "system.unknown", "severity": "high", "workflow_id": null,
        "project_id": null, "message": "x", "metadata": {},
    });
    fs::write(theirs.join("000000000001-high.ndjson"), format!("{row}\n")).unwrap();
    let mut options = options(&server);
    options.spool_dir = Some(folder.0.clone());
    let reporter = Reporter::start(options).unwrap();
    until("the row", || server.count() == 1).await;
    assert!(reporter.close(SOON).await.delivered);
}

#[tokio::test]
async fn a_close_that_cannot_deliver_keeps_everything_on_disk_or_says_that_it_is_lost() {
    for spooled in [true, false] {
        let server = Postgrest::start().await;
        server.with(|state| state.fault = Some(Fault::Hang));
        let folder = Folder::new();
        let mut options = options(&server);
        options.spool_dir = spooled.then(|| folder.0.clone());
        options.timeout = Duration::from_secs(30);
        let reporter = Reporter::start(options).unwrap();
        for number in 0..25 {
            reporter.capture(&boom(format!("event {number}")), Context::new());
        }
        let flushed = reporter.close(Duration::from_millis(200)).await;
        assert!(!flushed.delivered);
        assert_eq!(folder.lines(), if spooled { 25 } else { 0 });
        assert_eq!(reporter.stats().lost, if spooled { 0 } else { 25 });
    }
}

#[tokio::test]
async fn a_reporter_that_is_dropped_keeps_what_it_has_on_disk() {
    let server = Postgrest::start().await;
    server.with(|state| state.fault = Some(Fault::Hang));
    let folder = Folder::new();
    let mut options = options(&server);
    options.spool_dir = Some(folder.0.clone());
    options.batch_delay = Duration::from_secs(60);
    let reporter = Reporter::start(options).unwrap();
    for number in 0..25 {
        reporter.capture(&boom(format!("event {number}")), Context::new());
    }
    drop(reporter);
    until("all on disk", || folder.lines() == 25).await;
}

#[tokio::test]
async fn a_panic_is_captured_and_goes_on() {
    let server = Postgrest::start().await;
    let folder = Folder::new();
    let mut options = options(&server);
    options.spool_dir = Some(folder.0.clone());
    let reporter = Reporter::start(options).unwrap();
    reporter.install_panic_hook();
    let name = "a thread that panics".to_owned();
    let panics = std::thread::Builder::new().name(name).spawn(|| panic!("boom, password=hunter22"));
    assert!(panics.unwrap().join().is_err());
    until("the panic", || {
        server.rows().iter().any(|row| row["metadata"]["thread"] == "a thread that panics")
    })
    .await;
    let rows = server.rows();
    let ours = rows.iter().find(|row| row["metadata"]["thread"] == "a thread that panics").unwrap();
    assert_eq!(ours["error_type"], "system.panic");
    assert_eq!(ours["severity"], "high");
    assert_eq!(ours["message"], "boom, password=[masked]");
    assert!(ours["metadata"]["panicked_at"].as_str().unwrap().contains("process.rs:"));
    reporter.close(SOON).await;
}

#[tokio::test]
async fn the_spool_keeps_to_its_bound_and_the_least_severe_goes_first() {
    let server = Postgrest::start().await;
    server.with(|state| state.fault = Some(Fault::Reset));
    let folder = Folder::new();
    let mut options = options(&server);
    options.spool_dir = Some(folder.0.clone());
    (options.spool_max_bytes, options.spool_segment_bytes) = (60_000, 5_000);
    options.batch_size = 10;
    let reporter = Reporter::start(options).unwrap();
    for number in 0..300 {
        let severity = Severity::ALL[number % 3];
        let context = Context::new().severity(severity);
        reporter.capture(&boom(format!("event {number}")), context);
        if number % 50 == 49 {
            until("the disk", || reporter.stats().dropped + folder.lines() as u64 > number as u64)
                .await;
        }
    }
    let bytes: u64 = folder.files().iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes <= 60_000, "{bytes}");
    let dropped = reporter.stats().dropped;
    assert!(dropped > 50, "{dropped}");
    server.with(|state| state.fault = None);
    assert!(reporter.close(SOON).await.delivered);
    let rows = server.rows();
    let of = |severity: &str| {
        let ours = |row: &&serde_json::Value| {
            row["severity"] == severity && row["error_type"] != "system.reporter"
        };
        rows.iter().filter(ours).count()
    };
    assert!(
        of("low") < of("medium") && of("medium") <= of("high"),
        "{} {} {}",
        of("low"),
        of("medium"),
        of("high")
    );
    let reported: u64 = rows
        .iter()
        .filter(|row| row["error_type"] == "system.reporter")
        .flat_map(|row| row["metadata"]["dropped"].as_object().unwrap().values())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(reported, dropped, "what was dropped was said");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_disk_does_not_give_back_is_kept_and_everything_else_goes_on() {
    let server = Postgrest::start().await;
    let folder = Folder::new();
    let host = hostname::get().unwrap().to_string_lossy().into_owned();
    let theirs = folder.0.join(format!("{host}~4194399~1763800000000~0a1b2c3d"));
    fs::create_dir_all(&theirs).unwrap();
    // Reading there fails with EIO.
    std::os::unix::fs::symlink("/proc/self/mem", theirs.join("000000000001-high.ndjson")).unwrap();
    let mut options = options(&server);
    options.spool_dir = Some(folder.0.clone());
    let reporter = Reporter::start(options).unwrap();
    until("the folder to be taken over", || reporter.stats().pending == 1).await;
    for number in 0..3 {
        reporter.capture(&boom(format!("event {number}")), Context::new());
        until("what is new", || server.count() == number + 1).await;
    }
    until("only that to be left", || reporter.stats().pending == 1).await;
    let unreadable = folder.files().remove(0);
    let row = serde_json::json!({
        "error_id": "0190b0a0-0000-7000-8000-000000000001", "timestamp": "2026-11-22T10:00:00.000Z",
        "source": "worker", "error_type": "system.unknown", "severity": "high", "workflow_id": null,
        "project_id": null, "message": "x", "metadata": {},
    });
    let repaired = unreadable.with_extension("repaired");
    fs::write(&repaired, format!("{row}\n")).unwrap();
    fs::rename(&repaired, &unreadable).unwrap();
    until("what was kept", || server.count() == 4).await;
    assert!(reporter.close(SOON).await.delivered);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn a_save_that_fails_during_a_request_loses_nothing() {
    let server = Postgrest::start().await;
    server.with(|state| state.fault = Some(Fault::Hang));
    let folder = Folder::new();
    let file = folder.0.join("a file where the folder should be");
    fs::write(&file, "").unwrap();
    let mut options = options(&server);
    options.spool_dir = Some(file);
    options.timeout = Duration::from_millis(300);
    let reporter = Reporter::start(options).unwrap();
    for number in 0..8 {
        reporter.capture(&boom(format!("event {number}")), Context::new());
        if number == 2 {
            until("the request", || server.with(|state| state.requests.len()) == 1).await;
        }
    }
    reporter.save_now();
    server.with(|state| state.fault = None);
    assert!(reporter.flush(SOON).await.delivered);
    assert_eq!(server.count(), 8);
    assert_eq!(reporter.stats().delivered, 8);
}

#[tokio::test]
async fn a_panic_in_the_background_ends_one_round_and_not_the_reporting() {
    let server = Postgrest::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let mut options = options(&server);
    options.token = Token::Ask({
        let asked = Arc::clone(&asked);
        Arc::new(move |_| {
            let before = asked.fetch_add(1, Ordering::AcqRel);
            async move {
                assert!(before > 1, "no token yet");
                Ok("a-token".into())
            }
            .boxed()
        })
    });
    let reporter = Reporter::start(options).unwrap();
    reporter.capture(&boom("x"), Context::new());
    until("the row", || server.count() == 1).await;
    assert_eq!(asked.load(Ordering::Acquire), 3);
    assert!(reporter.close(SOON).await.delivered);
}
