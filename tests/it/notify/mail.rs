//! Mail over real SMTP: several recipients, servers that put off, hang or lose their reply, and TLS.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use meshhook_errors::{
    model::{Timestamp, TransitionKind},
    notify::{Mailer, NotificationFacts, SmtpConfig, smtp::MailJob},
    sinks::{MailFault, SmtpSink},
};
use tokio::{net::TcpListener, time::Instant};
use uuid::Uuid;

use super::rig::{Rig, WAIT, mailer};

#[tokio::test]
async fn one_refused_recipient_loses_nobody_elses_mail() {
    let rig = Rig::new().await;
    rig.mail.refuse("gone@mesh.example", "550 5.1.1 no such user");
    let channel = rig.mail_channel(&["gone@mesh.example", "ada@mesh.example"]).await;
    let message = rig.fire(channel).await;
    let row = rig.until(message, "sent").await;
    let mails = rig.mail.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["ada@mesh.example"]);
    let said = row.last_error.unwrap_or_default();
    assert!(said.contains("gone@mesh.example") && said.contains("550"), "{said}");
    assert!(row.receipt.is_some_and(|receipt| receipt.contains("2.0.0 kept")));
    assert_eq!(row.log[0]["accepted"][0], "ada@mesh.example");
    assert_eq!(rig.channel_state(channel).await.0, "ok");

    rig.mail.refuse("ada@mesh.example", "550 5.1.1 no such user");
    let lost = rig.fire(channel).await;
    rig.until(lost, "dead").await;
    assert_eq!(rig.channel_state(channel).await.0, "broken");
}

#[tokio::test]
async fn only_those_who_were_put_off_get_it_again() {
    let rig = Rig::new().await;
    rig.mail.script([MailFault::Greylist]);
    let channel = rig.mail_channel(&["ada@mesh.example", "bob@mesh.example"]).await;
    let message = rig.fire(channel).await;
    let row = rig.until(message, "sent").await;
    assert_eq!(row.attempts, 2);
    let to: Vec<_> = rig.mail.mails().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to, ["bob@mesh.example", "ada@mesh.example"]);
}

#[tokio::test]
async fn a_server_that_hangs_or_loses_its_reply_gets_the_same_mail_again() {
    let rig = Rig::new().await;
    rig.mail.script([MailFault::Hang]);
    let channel = rig.mail_channel(&["ada@mesh.example"]).await;
    let hung = rig.fire(channel).await;
    assert_eq!(rig.until(hung, "sent").await.attempts, 2);
    assert_eq!(rig.mail.mails().len(), 1);

    rig.mail.script([MailFault::LoseReply]);
    let unclear = rig.fire(channel).await;
    assert_eq!(rig.until(unclear, "sent").await.attempts, 2);
    let mails = rig.mail.mails();
    assert_eq!(mails.len(), 3);
    assert_eq!(mails[1].header("message-id"), mails[2].header("message-id"));
    assert_eq!(mails[1].data, mails[2].data);
}

#[tokio::test]
async fn mails_of_an_incident_thread() {
    let rig = Rig::new().await;
    let channel = rig.mail_channel(&["ada@mesh.example"]).await;
    let incident = rig.incident().await;
    for kind in [TransitionKind::Firing, TransitionKind::Resolved] {
        let message = rig.notify(incident, channel, kind).await;
        rig.until(message, "sent").await;
    }
    let mails = rig.mail.mails();
    assert_eq!(mails[0].header("references"), mails[1].header("references"));
    assert_ne!(mails[0].header("message-id"), mails[1].header("message-id"));
    assert_eq!(mails[1].header("subject"), mails[0].header("subject").map(|s| format!("Re: {s}")));
}

async fn try_to_send(mailer: &Mailer) -> (usize, String) {
    let facts = NotificationFacts::test(Timestamp::default(), None);
    let (to, done) = (["ada@mesh.example".to_owned()], BTreeSet::new());
    let job = MailJob {
        notification_id: Uuid::from_u128(1),
        channel_id: Uuid::from_u128(2),
        news: &[&facts],
        to: &to,
        done: &done,
    };
    let report = mailer.send(job, Instant::now() + WAIT).await;
    let reasons: Vec<_> =
        report.deferred.iter().chain(&report.refused).map(|(_, reason)| reason.clone()).collect();
    (report.accepted.len(), reasons.join("; "))
}

#[tokio::test]
async fn without_the_required_encryption_nothing_is_sent() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let sink = SmtpSink::start().await.expect("a sink");
    let (accepted, reason) =
        try_to_send(&mailer(&format!("smtp://u:p@{}?tls=required", sink.address()))).await;
    assert_eq!(accepted, 0);
    assert!(reason.contains("STARTTLS"), "{reason}");
    let (accepted, _) = try_to_send(&mailer(&format!("smtps://u:p@{}", sink.address()))).await;
    assert_eq!((accepted, sink.mails().len()), (0, 0));
}

#[tokio::test]
async fn a_private_servers_certificate_can_be_trusted() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let sink = SmtpSink::start().await.expect("a sink");
    let names = vec!["localhost".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let pem = certified.cert.pem();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.expect("a key"))
        .expect("a server");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let inner = sink.address();
    let proxy = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut outer) = acceptor.accept(stream).await else { continue };
            let mut inner = tokio::net::TcpStream::connect(inner).await.expect("the sink");
            tokio::io::copy_bidirectional(&mut outer, &mut inner).await.ok();
        }
    });

    let url = format!("smtps://user:password@localhost:{port}").into();
    let mut config = SmtpConfig::parse(&url, "a@mesh.example", None, false).expect("an address");
    config.command_timeout = Duration::from_secs(5);
    let (accepted, reason) = try_to_send(&Mailer::new(config.clone()).expect("a mailer")).await;
    assert_eq!(accepted, 0, "an unknown certificate is not trusted");
    assert!(reason.to_lowercase().contains("certificate"), "{reason}");

    config.root_certificate = Some(pem);
    let mailer = Mailer::new(config).expect("a mailer");
    let (accepted, reason) = try_to_send(&mailer).await;
    assert_eq!((accepted, &*reason), (1, ""));
    assert_eq!(sink.mails().len(), 1);
    proxy.abort();
}
