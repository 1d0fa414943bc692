//! Secrets of channels: encrypted before they reach the database, decrypted only in this process.

use std::{fmt, sync::Arc, time::Duration};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{Db, StoreError, pool::within};

/// How long the database may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The key that channel secrets are encrypted with (AES-256-GCM), and former ones that only decrypt
/// until everything is encrypted anew; kept in the daemon's environment.
#[derive(Clone)]
pub struct ChannelKey {
    /// The first one encrypts.
    keys: Arc<[LessSafeKey]>,
}

/// Why a secret cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key's text is not 32 bytes in base64.
    #[error("each channel key must be 32 bytes in base64; make one with: openssl rand -base64 32")]
    BadKey,
    /// The secret was encrypted with another key or for another channel, or was changed.
    #[error(
        "the channel's secret cannot be decrypted: it was stored with another channel key, or \
         changed in the database; use the key it was stored with, or set the secret again"
    )]
    WrongKey,
    /// A stored secret is not text.
    #[error("the channel's secret is not text; set it again")]
    NotText,
    /// The channel has no secret.
    #[error("the channel has no secret; set one in the dashboard, or by meshhook-errors secret")]
    Missing,
    /// There is no such channel.
    #[error("there is no channel {0} any more; it was deleted meanwhile")]
    NoChannel(Uuid),
    /// The machine gave no random numbers, or encryption failed.
    #[error("the secret could not be encrypted: this machine gave no random numbers; try again")]
    Encrypt,
    /// The database could not be asked.
    #[error("channel secrets: {0}")]
    Database(#[from] StoreError),
}

impl ChannelKey {
    /// Reads keys of 32 bytes in base64 (standard alphabet, with padding), separated by commas: the
    /// first encrypts, and all of them decrypt.
    ///
    /// # Errors
    /// [`SecretError::BadKey`] for anything else.
    pub fn from_base64(text: &SecretString) -> Result<Self, SecretError> {
        let key = |text: &str| {
            let bytes = STANDARD.decode(text.trim()).map_err(|_| SecretError::BadKey)?;
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| SecretError::BadKey)?;
            Ok(LessSafeKey::new(key))
        };
        let keys = text.expose_secret().split(',').map(key).collect::<Result<_, SecretError>>()?;
        Ok(Self { keys })
    }

    /// Encrypts `plaintext` for one channel; the result fits no other.
    ///
    /// # Errors
    /// [`SecretError::Encrypt`] where the machine gives no random numbers.
    pub fn seal(&self, channel_id: Uuid, plaintext: &str) -> Result<Sealed, SecretError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| SecretError::Encrypt)?;
        let mut ciphertext = plaintext.as_bytes().to_vec();
        self.keys
            .first()
            .ok_or(SecretError::BadKey)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(channel_id.as_bytes()),
                &mut ciphertext,
            )
            .map_err(|_| SecretError::Encrypt)?;
        Ok(Sealed { nonce: nonce.to_vec(), ciphertext })
    }

    /// Decrypts what [`ChannelKey::seal`] made for the same channel.
    ///
    /// # Errors
    /// [`SecretError::WrongKey`] where key or channel differ or a byte was changed.
    pub fn open(&self, channel_id: Uuid, sealed: &Sealed) -> Result<SecretString, SecretError> {
        self.open_with(channel_id, sealed).map(|(secret, _)| secret)
    }

    /// The secret, and the place in the list of the key that opened it.
    fn open_with(
        &self,
        channel_id: Uuid,
        sealed: &Sealed,
    ) -> Result<(SecretString, usize), SecretError> {
        for (place, key) in self.keys.iter().enumerate() {
            let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce)
                .map_err(|_| SecretError::WrongKey)?;
            let mut buffer = sealed.ciphertext.clone();
            let aad = Aad::from(channel_id.as_bytes());
            if let Ok(plaintext) = key.open_in_place(nonce, aad, &mut buffer) {
                let text = std::str::from_utf8(plaintext).map_err(|_| SecretError::NotText)?;
                return Ok((SecretString::from(text), place));
            }
        }
        Err(SecretError::WrongKey)
    }

    /// `sealed`, encrypted anew with the first key; none where it is that already.
    fn renewed(&self, channel_id: Uuid, sealed: &Sealed) -> Result<Option<Sealed>, SecretError> {
        match self.open_with(channel_id, sealed)? {
            (_, 0) => Ok(None),
            (secret, _) => self.seal(channel_id, secret.expose_secret()).map(Some),
        }
    }
}

impl fmt::Debug for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelKey(…)")
    }
}

/// An encrypted secret as `error_tracking.channel_secrets` keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// 12 bytes, drawn anew for each secret.
    pub nonce: Vec<u8>,
    /// Ciphertext followed by the 16-byte tag.
    pub ciphertext: Vec<u8>,
}

/// What [`Secrets::reseal`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Secrets that were encrypted anew with the first key.
    pub renewed: usize,
    /// Secrets that had been encrypted with it before.
    pub current: usize,
    /// Channels whose secret none of the keys opens; they are left as they are.
    pub unreadable: Vec<Uuid>,
}

/// The table of channel secrets.
#[derive(Clone, Debug)]
pub struct Secrets {
    db: Db,
    key: ChannelKey,
}

impl Secrets {
    /// The secrets in `db`, encrypted with `key`.
    pub fn new(db: impl Into<Db>, key: ChannelKey) -> Self {
        Self { db: db.into(), key }
    }

    /// Stores the secret of a channel (a Slack webhook address, or a webhook's signing secret),
    /// in place of an earlier one; the channel counts as mended.
    ///
    /// # Errors
    /// Where there is no such channel, or the database cannot be asked.
    pub async fn set(&self, channel_id: Uuid, plaintext: &SecretString) -> Result<(), SecretError> {
        let sealed = self.key.seal(channel_id, plaintext.expose_secret())?;
        let stored = within("store a channel's secret", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            link.query(include_str!("../../sql/channel_secret_set.sql"))
                .bind(channel_id)
                .bind(sealed.nonce)
                .bind(sealed.ciphertext)
                .execute(link.connection())
                .await?;
            Ok(link.commit().await?)
        })
        .await;
        stored.map_err(|error| match &error {
            StoreError::Database { source, .. }
                if source.as_database_error().is_some_and(|e| e.is_foreign_key_violation()) =>
            {
                SecretError::NoChannel(channel_id)
            }
            _ => error.into(),
        })
    }

    /// Forgets the secret of a channel, which then gets nothing.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn remove(&self, channel_id: Uuid) -> Result<(), SecretError> {
        let removed = within("forget a channel's secret", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            link.query(include_str!("../../sql/channel_secret_delete.sql"))
                .bind(channel_id)
                .execute(link.connection())
                .await?;
            Ok(link.commit().await?)
        });
        Ok(removed.await?)
    }

    /// The secret of a channel.
    ///
    /// # Errors
    /// Where there is none, it cannot be decrypted, or the database cannot be asked.
    pub async fn get(&self, channel_id: Uuid) -> Result<SecretString, SecretError> {
        let sealed = within("read a channel's secret", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            let row = link
                .query(include_str!("../../sql/channel_secret_get.sql"))
                .bind(channel_id)
                .fetch_optional(link.connection())
                .await?;
            link.commit().await?;
            let sealed = |row: PgRow| -> Result<Sealed, sqlx::Error> {
                Ok(Sealed { nonce: row.try_get(0)?, ciphertext: row.try_get(1)? })
            };
            Ok(row.map(sealed).transpose()?)
        })
        .await?
        .ok_or(SecretError::Missing)?;
        self.key.open(channel_id, &sealed)
    }

    /// Encrypts every secret with the first of the keys, so that the others can be given up.
    ///
    /// # Errors
    /// Where the database cannot be asked; what was encrypted anew stays so, and all of it still opens.
    pub async fn reseal(&self) -> Result<Resealed, SecretError> {
        let rows = within("read the channels' secrets", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            let rows = link
                .query(include_str!("../../sql/channel_secrets_all.sql"))
                .fetch_all(link.connection())
                .await?;
            link.commit().await?;
            let sealed = |row: &PgRow| -> Result<(Uuid, Sealed), sqlx::Error> {
                let sealed = Sealed { nonce: row.try_get(1)?, ciphertext: row.try_get(2)? };
                Ok((row.try_get(0)?, sealed))
            };
            Ok(rows.iter().map(sealed).collect::<Result<Vec<_>, _>>()?)
        })
        .await?;
        let mut resealed = Resealed::default();
        for (channel, sealed) in rows {
            match self.key.renewed(channel, &sealed) {
                Ok(None) => resealed.current += 1,
                Ok(Some(renewed)) => {
                    self.replace(channel, &sealed, renewed).await?;
                    resealed.renewed += 1;
                }
                Err(SecretError::WrongKey | SecretError::NotText) => {
                    resealed.unreadable.push(channel);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(resealed)
    }

    /// Puts a secret in the place of another, unless somebody has set a new one meanwhile.
    async fn replace(&self, channel: Uuid, old: &Sealed, new: Sealed) -> Result<(), SecretError> {
        let replaced = within("encrypt a channel's secret anew", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            link.query(include_str!("../../sql/channel_secret_replace.sql"))
                .bind(channel)
                .bind(&old.nonce)
                .bind(new.nonce)
                .bind(new.ciphertext)
                .execute(link.connection())
                .await?;
            Ok(link.commit().await?)
        });
        Ok(replaced.await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ChannelKey {
        ChannelKey::from_base64(&STANDARD.encode([byte; 32]).into()).expect("a key")
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_for_the_same_channel_only() {
        let channel = Uuid::from_u128(1);
        let sealed = key(1).seal(channel, "https://hooks.example/T/B/x").expect("sealed");
        let opened = key(1).open(channel, &sealed).expect("opened");
        assert_eq!(opened.expose_secret(), "https://hooks.example/T/B/x");
        assert_ne!(key(1).seal(channel, "same").ok(), key(1).seal(channel, "same").ok());

        let wrong = |result: Result<SecretString, SecretError>| {
            assert!(matches!(result, Err(SecretError::WrongKey)), "{result:?}");
        };
        wrong(key(2).open(channel, &sealed));
        wrong(key(1).open(Uuid::from_u128(2), &sealed));
        for index in 0..sealed.ciphertext.len() {
            let mut changed = sealed.clone();
            changed.ciphertext[index] ^= 1;
            wrong(key(1).open(channel, &changed));
        }
        wrong(key(1).open(channel, &Sealed { nonce: vec![1; 5], ..sealed }));
    }

    #[test]
    fn a_former_key_opens_until_everything_is_sealed_anew() {
        let both = format!("{}, {}", STANDARD.encode([2; 32]), STANDARD.encode([1; 32]));
        let both = ChannelKey::from_base64(&both.into()).expect("two keys");
        let channel = Uuid::from_u128(1);
        let old = key(1).seal(channel, "secret").expect("sealed");
        assert_eq!(both.open(channel, &old).expect("opened").expose_secret(), "secret");
        let renewed = both.renewed(channel, &old).expect("opened").expect("sealed anew");
        assert_eq!(key(2).open(channel, &renewed).expect("opened").expose_secret(), "secret");
        assert_eq!(both.renewed(channel, &renewed).expect("opened"), None);
        let foreign = key(3).seal(channel, "secret").expect("sealed");
        assert!(matches!(both.renewed(channel, &foreign), Err(SecretError::WrongKey)));
    }

    #[test]
    fn a_key_must_have_32_bytes() {
        for text in ["", "abc", &STANDARD.encode([0; 31]), &STANDARD.encode([0; 33]), "%%%"] {
            let error = ChannelKey::from_base64(&text.into());
            assert!(matches!(error, Err(SecretError::BadKey)), "{text}");
        }
    }
}
