//! Every variable the program reads, with its default and what it means.
//!
//! `.env.example` and the table in the README are checked against this list by a test.

/// One environment variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is where it is not set.
    pub default: Option<&'static str>,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// What to write, for an operator.
    pub help: &'static str,
}

/// Declares constants and the list of all of them.
macro_rules! variables {
    ($($(#[$flag:ident])? $name:ident $(= $default:literal)? : $help:literal;)+) => {
        $(
            #[doc = concat!("`", stringify!($name), "`; [`Variable::help`] says what it means.")]
            pub static $name: Variable = Variable {
                name: stringify!($name),
                default: variables!(@default $($default)?),
                secret: variables!(@secret $($flag)?),
                help: $help,
            };
        )+

        /// All variables, in the order of the documentation.
        pub static ALL: &[&Variable] = &[$(&$name),+];
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
    (@secret) => { false };
    (@secret secret) => { true };
}

variables! {
    #[secret] DATABASE_URL: "connection of role error_daemon, as in postgres://error_daemon:password@db.project.supabase.co:5432/postgres (direct, IPv6 only), or through either mode of the pooler with user error_daemon.project";
    DATABASE_POOLER = "auto": "transaction where the connection goes through a transaction-mode pooler, session where not, auto to take port 6543 for one";
    SUPABASE_URL: "the project's address, as in https://project.supabase.co";
    SUPABASE_REST_URL: "address of PostgREST, where it is not SUPABASE_URL/rest/v1";
    SUPABASE_REALTIME_URL: "websocket address of Realtime, where it is not SUPABASE_URL/realtime/v1/websocket";
    SUPABASE_REALTIME_HOST: "Host header for Realtime, which selects the tenant of a self-hosted server";
    SUPABASE_REALTIME_CA_FILE: "PEM file with further certificate authorities to trust for Realtime";
    #[secret] SUPABASE_ANON_KEY: "the publishable (or legacy anon) key, which the gateway of a hosted project wants";
    #[secret] SUPABASE_JWT_SECRET: "the project's HS256 secret, from which the daemon mints its own short-lived tokens";
    #[secret] SUPABASE_SIGNING_KEY: "instead of SUPABASE_JWT_SECRET: a private ES256 or RS256 key, as JWK or PEM, or the path of a file with one";
    SUPABASE_SIGNING_KEY_ID: "key id (kid) of SUPABASE_SIGNING_KEY where a PEM does not carry one";
    #[secret] SUPABASE_SERVICE_ROLE_KEY: "last resort where there is neither secret nor signing key; has wider rights than the daemon needs";
    #[secret] CHANNEL_SECRETS_KEY: "32 random bytes in base64 that encrypt the channels' secrets, as from openssl rand -base64 32; while it is replaced, the new one, a comma and the old one";
    PUBLIC_URL: "address at which people reach this daemon's /api, for links in mail, as in https://errors.example.com";
    #[secret] LINKS_KEY: "32 random bytes in base64 that sign the links in mail by which people acknowledge and silence, as from openssl rand -base64 32; while it is replaced, the new one, a comma and the old one";
    #[secret] SLACK_SIGNING_SECRET: "signing secret of the Slack app whose interactivity is sent to PUBLIC_URL/api/slack/interactivity; gives messages buttons; while it is replaced, the new one, a comma and the old one";
    #[secret] SMTP_URL: "mail server, as in smtps://user:password@host:465, or smtp://user:password@host:587?tls=required";
    SMTP_FROM: "sender of alert mail, as in MeshHook alerts <alerts@example.com>";
    SLACK_API_URL = "https://slack.com/api": "where Slack's Web API is, for channels with a bot token";
    PAGERDUTY_EVENTS_URL: "stands in for PagerDuty's Events API v2, as in https://proxy.example.com/v2/enqueue";
    DASHBOARD_URL: "address of the web app, for links in messages, as in https://meshhook.example.com";
    HTTP_LISTEN = "127.0.0.1:9464": "where /healthz, /readyz, /metrics and /api are served";
    API_ALLOWED_ORIGINS: "web pages that may call /api from a browser, as in https://meshhook.example.com,http://localhost:5173";
    API_REQUESTS_PER_MINUTE = "600": "how often one token may call /api, before it is answered 429";
    INSTANCE_NAME: "name of this instance in the status table; by default the host's name";
    FEED_TICK_QUIET_MS = "250": "milliseconds between numbered reads while nothing happens";
    FEED_TICK_BUSY_MS = "100": "milliseconds between numbered reads while rows flow or the socket is down or deaf";
    RETENTION = "leader": "leader if the leading instance deletes what is older than its retention, off if pg_cron or nobody does";
    SYSTEM_ALERT_CHANNELS = "global": "names or ids of the channels, separated by commas, that are told of trouble with the tracker itself; global for all channels without a project, none for nobody";
    #[secret] DEAD_MANS_PING_URL: "address that the leader asks every 30 s while all is well, as of a healthchecks service, which then alerts when it falls silent";
    ALLOW_PLAINTEXT = "false": "true allows http, ws, postgres without TLS and smtp without TLS to other machines";
    ALLOW_PRIVATE_DESTINATIONS: "networks, as in 10.0.0.0/8,127.0.0.0/8, that webhooks may reach although they are private";
    LOG_FORMAT = "text": "text or json";
    LOG_FILTER = "info,sqlx=error,pgwire_replication=off": "what is logged, as in info,meshhook_errors::feed=debug";
    OTEL_EXPORTER_OTLP_ENDPOINT: "OpenTelemetry collector that gets traces by OTLP over HTTP, as in http://127.0.0.1:4318; needs a binary with the feature otel";
    #[secret] OTEL_EXPORTER_OTLP_HEADERS: "headers that the collector wants, as in authorization=Bearer%20token,x-tenant=1";
    OTEL_SERVICE_NAME = "meshhook-errors": "what traces call this service";
    #[secret] ERROR_REPORTER_TOKEN: "token with role error_reporter for meshhook-errors report, as from meshhook-errors token";
}
