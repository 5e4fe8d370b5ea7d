//! The assertion of a passkey, by WebAuthn Level 3, section 7.2.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_protocol::Assertion;
use countersign_protocol::text::{of_parser, printable};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::es256::{self, SignatureForm};
use crate::relying_party::RelyingParty;

/// Bits of the flags (section 6.1).
const USER_PRESENT: u8 = 1 << 0;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;

/// The reason why an assertion does not prove a vote, an order or a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[non_exhaustive]
pub enum AssertionError {
    /// The client data is not JSON with the members that it must have, each once.
    #[error("the client data of the passkey cannot be read ({0}); sign again")]
    ClientData(String),
    /// The client data is of a registration, or of something else.
    #[error("the passkey did not sign for `webauthn.get`; sign on the page that asks for it")]
    Type,
    /// The passkey signed something other than this vote, order or sign-in.
    #[error("the passkey signed something other than this; sign again")]
    Challenge,
    /// The page is not one that may ask passkeys.
    #[error("the page {0} may not ask passkeys to sign; use your organisation's own page")]
    Origin(String),
    /// The page was shown inside a page of another origin.
    #[error(
        "the passkey signed inside a page of another origin; open your organisation's page itself"
    )]
    CrossOrigin,
    /// The passkey is bound to another domain.
    #[error(
        "the passkey is bound to another domain; use the one that you made for your organisation's page"
    )]
    RpId,
    /// Nobody confirmed at the device.
    #[error("the device did not ask for a confirmation; sign again")]
    UserNotPresent,
    /// The device did not verify its user.
    #[error(
        "the device did not verify its user; sign again with a PIN, a fingerprint or your face"
    )]
    UserNotVerified,
    /// Flags and length of the authenticator data contradict each other.
    #[error("the authenticator data contradicts itself ({0}); use another authenticator")]
    AuthenticatorData(&'static str),
    /// The signature is not in the one form that is accepted.
    #[error(transparent)]
    Form(#[from] SignatureForm),
    /// The key is not a point of P-256.
    #[error("the passkey's key is not a point of P-256; list the key again")]
    Key,
    /// The signature is not the passkey's.
    #[error("the signature is not that of the listed passkey; sign again")]
    Signature,
}

impl AssertionError {
    /// True if whoever pins another page or domain may believe the assertion. These checks come
    /// before those that cost time.
    pub(crate) fn is_of_another_page(&self) -> bool {
        match self {
            Self::Origin(_) | Self::RpId => true,
            Self::ClientData(_)
            | Self::Type
            | Self::Challenge
            | Self::CrossOrigin
            | Self::UserNotPresent
            | Self::UserNotVerified
            | Self::AuthenticatorData(_)
            | Self::Form(_)
            | Self::Key
            | Self::Signature => false,
        }
    }

    /// A short name for the reason, for logs and counts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientData(_) => "with unreadable client data",
            Self::Type => "of another type than webauthn.get",
            Self::Challenge => "that sign something else",
            Self::Origin(_) => "from a page that may not collect votes",
            Self::CrossOrigin => "from inside a page of another origin",
            Self::RpId => "by a passkey of another domain",
            Self::UserNotPresent => "without a confirmation at the device",
            Self::UserNotVerified => "without verification of the user",
            Self::AuthenticatorData(_) => "with contradictory authenticator data",
            Self::Form(SignatureForm::Der) => "with a signature that is not DER",
            Self::Form(SignatureForm::HighS) => "with a signature in its other form",
            Self::Key => "under a key that is not on the curve",
            Self::Signature => "with a wrong signature",
        }
    }
}

/// Client data (section 5.8.1). Browsers may add members, so unknown ones are no error; a repeated
/// one is.
#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
    #[serde(rename = "topOrigin", default)]
    top_origin: Option<serde::de::IgnoredAny>,
}

/// Checks the assertion as section 7.2 demands it, and returns the sign counter. Numbers of its
/// steps are those of the text of 2025.
pub(crate) fn check(
    assertion: &Assertion,
    key: &[u8; 33],
    challenge: &[u8; 32],
    relying_party: &RelyingParty,
) -> Result<u32, AssertionError> {
    check_client_data(&assertion.client_data, challenge, relying_party)?;
    let (flags, counter) = parse(&assertion.authenticator_data, relying_party)?;
    check_flags(flags, assertion.authenticator_data.len())?;
    check_signature(assertion, key)?;
    Ok(counter)
}

/// Steps 9 to 14: type, challenge, origin, and no page around the page.
fn check_client_data(
    bytes: &[u8],
    challenge: &[u8; 32],
    relying_party: &RelyingParty,
) -> Result<(), AssertionError> {
    let data: ClientData = countersign_strict::json(bytes)
        .map_err(|error| AssertionError::ClientData(of_parser(&error)))?;
    if data.r#type != "webauthn.get" {
        return Err(AssertionError::Type);
    }
    // The text has one form, so comparing texts compares the challenges.
    if data.challenge != URL_SAFE_NO_PAD.encode(challenge) {
        return Err(AssertionError::Challenge);
    }
    if !relying_party.has(&data.origin) {
        let shown = printable(&data.origin, 120);
        return Err(AssertionError::Origin(shown));
    }
    if data.cross_origin || data.top_origin.is_some() {
        return Err(AssertionError::CrossOrigin);
    }
    Ok(())
}

/// Step 15: the domain. Returns flags and counter.
fn parse(data: &[u8], relying_party: &RelyingParty) -> Result<(u8, u32), AssertionError> {
    let too_short = AssertionError::AuthenticatorData("too short");
    let (id_hash, rest) = data.split_first_chunk::<32>().ok_or(too_short.clone())?;
    let ([flags], rest) = rest.split_first_chunk::<1>().ok_or(too_short.clone())?;
    let (counter, _) = rest.split_first_chunk::<4>().ok_or(too_short)?;
    if id_hash != relying_party.id_hash() {
        return Err(AssertionError::RpId);
    }
    Ok((*flags, u32::from_be_bytes(*counter)))
}

/// Steps 16 to 18: presence, verification, and backup. Reserved bits mean nothing yet.
fn check_flags(flags: u8, length: usize) -> Result<(), AssertionError> {
    let has = |bit| flags & bit != 0;
    let extended = length > Assertion::MIN_AUTHENTICATOR_DATA;
    if !has(USER_PRESENT) {
        Err(AssertionError::UserNotPresent)
    } else if !has(USER_VERIFIED) {
        Err(AssertionError::UserNotVerified)
    } else if has(BACKED_UP) && !has(BACKUP_ELIGIBLE) {
        Err(AssertionError::AuthenticatorData(
            "backed up, but not eligible for it",
        ))
    } else if has(HAS_CREDENTIAL) {
        Err(AssertionError::AuthenticatorData(
            "a credential, which belongs to a registration",
        ))
    } else if has(HAS_EXTENSIONS) != extended {
        Err(AssertionError::AuthenticatorData(
            "extensions that are announced and missing, or the other way round",
        ))
    } else {
        Ok(())
    }
}

/// Steps 20 and 21: the signature over authenticator data and the hash of the client data.
pub(crate) fn check_signature(assertion: &Assertion, key: &[u8; 33]) -> Result<(), AssertionError> {
    let signature = es256::signature(&assertion.signature)?;
    let key = es256::key(key).ok_or(AssertionError::Key)?;
    let hash = Sha256::digest(&assertion.client_data);
    let message = [&assertion.authenticator_data[..], &hash].concat();
    if es256::is_genuine(&key, &message, &signature) {
        Ok(())
    } else {
        Err(AssertionError::Signature)
    }
}

/// True if a passkey's counter did not go up from an earlier vote to a later one (step 22), so that
/// there may be a copy of the passkey. Authenticators that count nothing return 0 for ever.
pub fn counter_went_back(earlier: u32, later: u32) -> bool {
    (earlier != 0 || later != 0) && later <= earlier
}
