use super::{
    Api, Credentials, Database, Environment, Feed, Http, Notify, Problems, Reader, Supabase,
    Telemetry, Upkeep, variables,
};

/// A section, the variables it reads, and how its value or its problems begin.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

type Section = fn(&mut Reader<'_>) -> Option<String>;

/// Every section, each reduced to what a test wants to see of it.
const SECTIONS: &[(&str, Section)] = &[
    ("database", |r| {
        use secrecy::ExposeSecret;
        Database::read(r).map(|d| {
            let trust = if d.unverified { " unverified" } else { "" };
            format!("{} pooler={}{trust}", d.url.expose_secret(), d.transaction_pooler)
        })
    }),
    ("supabase", |r| Supabase::read(r).map(|s| format!("{} {}", s.rest_url, s.realtime_url))),
    ("credentials", |r| {
        Credentials::read(r).map(|c| {
            match c {
                Credentials::Secret(_) => "secret",
                Credentials::SigningKey(..) => "signing key",
                Credentials::ServiceKey(_) => "service key",
            }
            .to_owned()
        })
    }),
    ("notify", |r| Notify::read(r).map(|n| format!("{} networks", n.allowed_networks.len()))),
    ("upkeep", |r| Upkeep::read(r).map(|u| format!("{} {}", u.prunes, u.dead_mans_ping.is_some()))),
    ("http", |r| Http::read(r).map(|h| h.listen.to_string())),
    ("api", |r| {
        Api::read(r).map(|a| format!("{} {}", a.allowed_origins.join(" "), a.requests_per_minute))
    }),
    ("feed", |r| Feed::read(r).map(|f| format!("{}", f.quiet_tick.micros()))),
    ("telemetry", |r| {
        Telemetry::read(r).map(|t| {
            let traces = t.traces.map(|traces| format!(" {} to {}", traces.service, traces.url));
            t.filter + &traces.unwrap_or_default()
        })
    }),
];

/// Reads one section from `pairs` and compares what it says, or the problems, with `expected`.
#[track_caller]
fn check(section: &str, pairs: &[(&str, &str)], expected: &str) {
    let environment = Environment::of(pairs.iter().copied());
    let mut reader = environment.reader();
    let read = SECTIONS.iter().find(|(name, _)| *name == section).expect("a known section").1;
    let value = read(&mut reader);
    let text = match reader.finish(value) {
        Ok(value) => value,
        Err(Problems(problems)) => {
            let lines = problems.iter().map(|p| format!("! {}: {}", p.variable, p.text));
            lines.collect::<Vec<_>>().join("\n")
        }
    };
    assert!(text.starts_with(expected), "{section} from {pairs:?}:\n{text}\nexpected\n{expected}");
}

#[test]
fn addresses() {
    let cases: &[Case<'_>] = &[
        ("database", &[], "! DATABASE_URL: is not set"),
        (
            "database",
            &[("DATABASE_URL", "mysql://x")],
            "! DATABASE_URL: must be an address as in postgres://error_daemon:password@host",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d:p#w@db.example.com/x")],
            "! DATABASE_URL: must be an address as in postgres://error_daemon:password@host:5432/postgres, with \
             what is special in the password written as in URLs (@ as %40)",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d:p@localhost:5/x")],
            "postgres://d:p@localhost:5/x pooler=false",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d:p@127.0.0.1/x?sslmode=disable")],
            "postgres://d:p@127.0.0.1/x?sslmode=disable",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d:p@db.example.com:6543/x")],
            "postgres://d:p@db.example.com:6543/x?sslmode=require pooler=true unverified",
        ),
        (
            "database",
            &[(
                "DATABASE_URL",
                "postgres://d:p@db.example.com/x?sslmode=verify-full&sslrootcert=a",
            )],
            "postgres://d:p@db.example.com/x?sslmode=verify-full&sslrootcert=a pooler=false",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d:p@localhost/x?host=db.example.com")],
            "! DATABASE_URL: must name its host before the path, not as ?host=",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d:p@localhost/x?hostaddr=10.0.0.1")],
            "! DATABASE_URL: must name its host before the path, not as ?hostaddr=",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d:p@localhost/x?host=/run/postgresql")],
            "! DATABASE_URL: must name its host before the path",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d:p@localhost/x?port=6543")],
            "! DATABASE_URL: must name its port behind the host",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d@db.example.com/x?sslmode=require&ssl-mode=disable")],
            "! DATABASE_URL: says sslmode twice; leave one of them out",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres:///x")],
            "! DATABASE_URL: must name a host, as in",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres:///x?host=/run/postgresql")],
            "postgres:///x?host=/run/postgresql pooler=false",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d:p@db.example.com/x?sslmode=prefer")],
            "! DATABASE_URL: sslmode=prefer",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d:p@10.0.0.1/x"), ("ALLOW_PLAINTEXT", "true")],
            "postgres://d:p@10.0.0.1/x pooler=false",
        ),
        (
            "database",
            &[("DATABASE_URL", "postgres://d@localhost/x"), ("DATABASE_POOLER", "maybe")],
            "! DATABASE_POOLER: must be auto, transaction or session, not \"maybe\"",
        ),
        (
            "supabase",
            &[("SUPABASE_URL", "https://p.supabase.co/")],
            "https://p.supabase.co/rest/v1 wss://p.supabase.co/realtime/v1/websocket",
        ),
        (
            "supabase",
            &[
                ("SUPABASE_REST_URL", "http://127.0.0.1:3000"),
                ("SUPABASE_REALTIME_URL", "ws://realtime-dev.localhost:4000/socket/websocket"),
            ],
            "http://127.0.0.1:3000/ ws://realtime-dev.localhost:4000/socket/websocket",
        ),
        ("supabase", &[], "! SUPABASE_URL: is not set"),
        (
            "supabase",
            &[("SUPABASE_URL", "http://p.supabase.co")],
            "! SUPABASE_URL: http:// to another machine would travel in plain text",
        ),
        (
            "supabase",
            &[("SUPABASE_URL", "ftp://x")],
            "! SUPABASE_URL: must begin with https://, not with ftp:",
        ),
    ];
    for (section, pairs, expected) in cases {
        check(section, pairs, expected);
    }
}

#[test]
fn everything_else() {
    let cases: &[Case<'_>] = &[
        ("credentials", &[], "! SUPABASE_JWT_SECRET: is not set, nor is SUPABASE_SIGNING_KEY"),
        (
            "credentials",
            &[("SUPABASE_JWT_SECRET", "short")],
            "! SUPABASE_JWT_SECRET: must have at least 32 characters; it stands on",
        ),
        ("credentials", &[("SUPABASE_SIGNING_KEY", "{}")], "signing key"),
        (
            "credentials",
            &[("SUPABASE_SIGNING_KEY", "/nowhere/key.pem")],
            "! SUPABASE_SIGNING_KEY: is neither a JWK nor a PEM",
        ),
        ("credentials", &[("SUPABASE_SERVICE_ROLE_KEY", "k")], "service key"),
        ("notify", &[], "0 networks"),
        ("notify", &[("ALLOW_PRIVATE_DESTINATIONS", "10.0.0.0/8, 127.0.0.0/8")], "2 networks"),
        ("notify", &[("ALLOW_PRIVATE_DESTINATIONS", "me")], "! ALLOW_PRIVATE_DESTINATIONS: \"me\""),
        ("notify", &[("CHANNEL_SECRETS_KEY", "abc")], "! CHANNEL_SECRETS_KEY: must be 32 bytes"),
        ("notify", &[("SMTP_URL", "smtps://m.example.com")], "! SMTP_FROM: is not set"),
        (
            "notify",
            &[("SMTP_URL", "smtp://m.example.com"), ("SMTP_FROM", "a@b.example")],
            "! SMTP_URL: smtp:// to another machine would travel in plain text",
        ),
        (
            "notify",
            &[("SMTP_URL", "smtp://m.example.com?tls=required"), ("SMTP_FROM", "A <a@b.example>")],
            "0 networks",
        ),
        ("http", &[], "127.0.0.1:9464"),
        ("http", &[("HTTP_LISTEN", "9464")], "! HTTP_LISTEN: must be an address and port"),
        ("api", &[], " 600"),
        (
            "api",
            &[("API_ALLOWED_ORIGINS", "https://A.example.com/, http://localhost:5173")],
            "https://a.example.com http://localhost:5173 600",
        ),
        ("api", &[("API_ALLOWED_ORIGINS", "*")], "! API_ALLOWED_ORIGINS: \"*\" is not an origin"),
        (
            "api",
            &[("API_ALLOWED_ORIGINS", "https://a.example.com/page")],
            "! API_ALLOWED_ORIGINS: \"https://a.example.com/page\" is not",
        ),
        ("api", &[("API_REQUESTS_PER_MINUTE", "0")], "! API_REQUESTS_PER_MINUTE: must be at least"),
        ("feed", &[], "250000"),
        ("feed", &[("FEED_TICK_QUIET_MS", "1")], "! FEED_TICK_QUIET_MS: must be between 10"),
        ("feed", &[("FEED_TICK_BUSY_MS", "x")], "! FEED_TICK_BUSY_MS: must be a number of"),
        ("upkeep", &[], "true false"),
        ("upkeep", &[("RETENTION", "off")], "false false"),
        ("upkeep", &[("RETENTION", "cron")], "! RETENTION: must be leader or off, not \"cron\""),
        ("upkeep", &[("DEAD_MANS_PING_URL", "https://hc.example.com/uuid")], "true true"),
        (
            "upkeep",
            &[("DEAD_MANS_PING_URL", "http://hc.example.com/uuid")],
            "! DEAD_MANS_PING_URL: http:// to another machine",
        ),
        ("telemetry", &[("LOG_FORMAT", "xml")], "! LOG_FORMAT: must be text or json, not \"xml\""),
        ("telemetry", &[("LOG_FILTER", "info,meshhook_errors=debug")], "info,meshhook"),
        ("telemetry", &[("ALLOW_PLAINTEXT", "maybe")], "info"),
        (
            "telemetry",
            &[
                ("LOG_FILTER", "info"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/"),
                ("OTEL_SERVICE_NAME", "errors"),
            ],
            "info errors to http://localhost:4318/v1/traces",
        ),
        (
            "telemetry",
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example.com")],
            "! OTEL_EXPORTER_OTLP_ENDPOINT: http:// to another machine",
        ),
    ];
    for (section, pairs, expected) in cases {
        check(section, pairs, expected);
    }
}

#[test]
fn every_problem_is_reported_at_once_and_secrets_are_not_quoted() {
    let environment = Environment::of([
        ("DATABASE_URL", "postgres//hunter2"),
        ("SUPABASE_JWT_SECRET", "hunter2"),
        ("CHANNEL_SECRETS_KEY", "hunter2"),
        ("HTTP_LISTEN", "nowhere"),
    ]);
    let mut reader = environment.reader();
    for (_, read) in SECTIONS {
        let _ = read(&mut reader);
    }
    let text = reader.finish(None::<()>).unwrap_err().to_string();
    let named: Vec<_> = text.lines().filter_map(|line| line.split_once(':')).map(|l| l.0).collect();
    assert_eq!(
        named,
        [
            "DATABASE_URL",
            "SUPABASE_URL",
            "SUPABASE_JWT_SECRET",
            "CHANNEL_SECRETS_KEY",
            "HTTP_LISTEN"
        ]
    );
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!format!("{environment:?}").contains("hunter2"));
}

#[test]
fn every_variable_is_documented() {
    let example = include_str!("../../.env.example");
    let readme = include_str!("../../README.md");
    for variable in variables::ALL {
        let line = format!("\n{}=", variable.name);
        let commented = format!("\n# {}=", variable.name);
        assert!(
            example.contains(&line) || example.contains(&commented),
            "{} is missing in .env.example",
            variable.name
        );
        assert!(readme.contains(&format!("`{}`", variable.name)), "{} in README", variable.name);
    }
    for line in example.lines().filter_map(|line| line.trim_start_matches("# ").split_once('=')) {
        let name = line.0;
        if name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            assert!(
                variables::ALL.iter().any(|v| v.name == name),
                "{name} is not read by anything"
            );
        }
    }
}
