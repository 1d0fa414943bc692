use super::*;

struct Base(PathBuf);

impl Base {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("error-reporter-{}", Uuid::new_v4().simple()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn spool(&self, max_bytes: u64) -> Spool {
        Spool::new(self.0.clone(), max_bytes, 500)
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn event(number: u128, severity: Severity) -> Sealed {
    let id = Uuid::from_u128(number);
    let line = serde_json::json!({ "error_id": id, "severity": severity, "x": "x".repeat(60) });
    Sealed { id, severity, line: line.to_string().into() }
}

fn numbers(events: &[Sealed]) -> Vec<u128> {
    events.iter().map(|event| event.id.as_u128()).collect()
}

/// A file that is there and cannot be read, whoever asks: a folder of its name.
fn make_unreadable(path: &Path) -> PathBuf {
    let aside = path.with_extension("aside");
    fs::rename(path, &aside).unwrap();
    fs::create_dir(path).unwrap();
    aside
}

fn make_readable(path: &Path, aside: &Path) {
    fs::remove_dir(path).unwrap();
    fs::rename(aside, path).unwrap();
}

#[test]
fn what_cannot_be_read_now_is_kept_and_holds_up_nothing_else() {
    let base = Base::new();
    let mut spool = base.spool(1 << 20);
    spool.append(&[event(1, Severity::High), event(2, Severity::Low)]).unwrap();
    let path = spool.path(2, Severity::High);
    assert!(path.exists(), "the low segment is written first");
    let aside = make_unreadable(&path);
    assert_eq!(numbers(&spool.peek(10, 1000).unwrap()), [2]);
    spool.done(1);
    assert!(spool.peek(10, 1000).is_err());
    assert_eq!(spool.events(), 1);
    make_readable(&path, &aside);
    assert_eq!(numbers(&spool.peek(10, 1000).unwrap()), [1]);
    spool.done(1);
    assert_eq!(spool.peek(10, 1000).unwrap(), []);
    spool.remove_if_empty();
    assert!(!spool.folder().exists());
}

#[test]
fn a_file_that_somebody_removed_is_nothing_to_wait_for() {
    let base = Base::new();
    let mut spool = base.spool(1 << 20);
    spool.append(&[event(1, Severity::High)]).unwrap();
    fs::remove_file(spool.path(1, Severity::High)).unwrap();
    assert_eq!(spool.peek(10, 1000).unwrap(), []);
    assert_eq!(spool.events(), 0);
}

#[test]
fn nothing_to_keep_makes_no_folder() {
    let base = Base::new();
    let mut spool = base.spool(1 << 20);
    assert_eq!(spool.append(&[]).unwrap(), [0; 3]);
    assert_eq!(fs::read_dir(&base.0).unwrap().count(), 0);
}

#[test]
fn nothing_goes_uncounted_to_keep_within_the_bound() {
    let base = Base::new();
    let host = hostname::get().unwrap().to_string_lossy().into_owned();
    let dead = base.0.join(format!("{host}~4194399~1763800000000~0a1b2c3d"));
    fs::create_dir_all(&dead).unwrap();
    let lines: String = (0..4).map(|n| format!("{}\n", event(n, Severity::Low).line)).collect();
    fs::write(dead.join("000000000001-low.ndjson"), &lines).unwrap();
    let mut spool = base.spool(2 * lines.len() as u64);
    spool.adopt().unwrap();
    let path = spool.path(1, Severity::Low);
    let aside = make_unreadable(&path);
    let high: Vec<_> = (10..20).map(|number| event(number, Severity::High)).collect();
    assert_eq!(spool.append(&high).unwrap(), [0, 0, 10], "the one that can be counted");
    make_readable(&path, &aside);
    assert_eq!(spool.append(&high).unwrap(), [4, 0, 10]);
}

#[test]
fn what_is_parked_waits_for_everything_else_and_forgets_nothing() {
    let base = Base::new();
    let mut spool = base.spool(1 << 20);
    let high: Vec<_> = (1..=3).map(|number| event(number, Severity::High)).collect();
    spool.append(&high).unwrap();
    assert_eq!(numbers(&spool.peek(1, 1000).unwrap()), [1]);
    spool.done(1);
    assert!(!spool.park(), "there is nothing else");
    spool.append(&[event(4, Severity::Low)]).unwrap();
    assert_eq!(numbers(&spool.peek(10, 1000).unwrap()), [4]);
    assert!(!spool.park());
    // Of those that are parked, the one that has waited longest; without what is dealt with.
    assert_eq!(numbers(&spool.peek(10, 1000).unwrap()), [2, 3]);
    assert_eq!(spool.events(), 3);
}

#[test]
fn a_folder_whose_adoption_failed_is_kept_and_tried_again() {
    let base = Base::new();
    let mut spool = base.spool(1 << 20);
    spool.adopt().unwrap();
    let taken = spool.folder().join("taken~0a1b2c3d");
    fs::create_dir(&taken).unwrap();
    let line = format!("{}\n", event(1, Severity::High).line);
    fs::write(taken.join("000000000001-high.ndjson"), line).unwrap();
    spool.remove_if_empty();
    assert!(taken.exists(), "not lost when the process ends");
    spool.adopt().unwrap();
    assert!(!taken.exists());
    assert_eq!(numbers(&spool.peek(10, 1000).unwrap()), [1]);
}

#[tokio::test]
async fn a_folder_is_touched_as_long_as_its_owner_lives() {
    let base = Base::new();
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::open(&base.0).unwrap().set_modified(long_ago).unwrap();
    let touched = async {
        while fs::metadata(&base.0).unwrap().modified().unwrap() == long_ago {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(10), touched);
    tokio::select! {
        touched = within => touched.unwrap(),
        () = keep_touched(&base.0, Duration::from_millis(20)) => {}
    }
}
