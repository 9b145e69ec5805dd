//! Known answers: the bytes of every message, of hashes and signatures, and the vectors of the RFCs.

use protocol::certificate::{MeterCertificate, deployment_context};
use protocol::codeword::{Verdict, judge};
use protocol::grid::{Deal, DealMessage, LoadVector};
use protocol::hpke_box::{OpeningKey, SealedBox, Suite};
use protocol::id::Hash;
use protocol::part::{self, Assembly};
use protocol::receipt::Receipt;
use protocol::record::Record;
use protocol::release::cut::Cut;
use protocol::release::inventory::Inventory;
use protocol::release::objection::Objection;
use protocol::release::outcome::Outcome;
use protocol::release::query::Query;
use protocol::release::result::ResultShare;
use protocol::release::vote::{Vote, Votes};
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::share::ShareMessage;
use protocol::signature::{Context, Document, Signed, SigningKey};
use protocol::status::Status;
use protocol::tariff::TariffDocument;
use protocol::wire;
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use crate::deployment::{Deployment, document, meter_key, point, registrar, signer, utility};
use crate::samples;

mod levelled;
mod levelled_messages;
mod messages;
mod release_messages;

/// p, as a wide integer.
const P: u128 = 0xffff_ffff_0000_0001;

/// Bytes of hexadecimal digits.
fn hex(digits: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).unwrap()
}

fn key(digits: &str) -> [u8; 32] {
    hex(digits).try_into().unwrap()
}

/// SHA-256 of `"wv/1 <label>" ‖ 0 ‖ bytes`, without the crate's own functions.
fn sha256(label: &str, parts: &[&[u8]]) -> Hash {
    let preimage = [b"wv/1 ", label.as_bytes(), &[0], &parts.concat()[..]].concat();
    Hash::from(<[u8; 32]>::from(Sha256::digest(preimage)))
}

/// The value signs to the bytes, and the bytes open to the value.
fn is<T: Document + Eq + std::fmt::Debug>(value: T, digits: &str, signer: &SigningKey, context: &Context) {
    let bytes = hex(digits);
    let signed = Signed::sign(value, signer, context);
    assert_eq!(signed.bytes(), bytes);
    let opened = Signed::<T>::open(&bytes, &signer.verifying_key(), context).unwrap();
    assert_eq!(*opened, *signed);
    let (body, _signature): (ByteBuf, ByteBuf) = wire::decode(&bytes).unwrap();
    assert_eq!(opened.hash(), sha256(T::KIND, &[&body]));
}

fn deployment() -> (Deployment, Context) {
    let deployment = samples::deployment();
    let context = deployment.roster.context();
    (deployment, context)
}

/// A certificate, bound to the deployment's name.
#[test]
fn certificate() {
    let demo = Context::from(sha256("deployment", &[b"demo"]));
    assert_eq!(demo, deployment_context(&"demo".parse().unwrap()));
    is::<MeterCertificate>(samples::certificate(), messages::CERTIFICATE, &registrar(), &demo);
}

/// A revocation, bound to the deployment's name.
#[test]
fn revocation() {
    let demo = Context::from(sha256("deployment", &[b"demo"]));
    is::<Revocation>(samples::revocation(), messages::REVOCATION, &registrar(), &demo);
}

/// A roster with its acceptances, and the hash that everything else is bound to.
#[test]
fn roster() {
    let roster = Roster::accept(&hex(messages::ROSTER), &registrar().verifying_key()).unwrap();
    assert_eq!(*roster.document(), document(3, 2));
    assert_eq!(samples::deployment().roster.bytes(), hex(messages::ROSTER));
    let hash = "daf102a95b6f0840647f4fc80dee209bcaf86b3fb05824c6c162966ad9268f4e";
    assert_eq!(roster.hash().to_string(), hash);
    assert_eq!(roster.hash(), sha256("roster", &[&wire::encode(&document(3, 2))]));
    assert_eq!(
        registrar().verifying_key().fingerprint().to_string(),
        "690fb6573585e0b2758007e943bbc2105a1ff6f6ec1784af3b47335cb7df7e2a"
    );
}

/// A share message, its record, its head and the record's name; the shares in it, and the secrets they give.
#[test]
fn share() {
    let (deployment, context) = deployment();
    let sealed = samples::sealed(&deployment);
    let bytes = hex(messages::SHARE);
    assert_eq!(sealed.messages[1], (point(2), bytes.clone()));
    let message = ShareMessage::parse(&bytes).unwrap();
    assert_eq!((*message.head(), message.point()), (samples::head(), point(2)));

    // 3 bytes: the message, the record's length; 143 of record; 2 + 64 of signature
    let record = &bytes[3..146];
    assert_eq!(wire::encode(&Record::decode(record).unwrap()), record);
    assert_eq!(sealed.rid.to_string(), "63d6c5a0f2374043c896062ded4f847a0b18c7eca0ab9bdd7888b5d15009241a");
    let rid = sha256("record", &[deployment.roster.hash().as_bytes(), record]);
    assert_eq!(rid.as_bytes(), sealed.rid.as_bytes());
    let signature = meter_key(1).sign("record", &context, rid.as_bytes());
    assert_eq!(bytes[148..212], wire::encode(&signature)[2..]);
    let verified = meter_key(1).verifying_key().verify("record", &context, rid.as_bytes(), &signature);
    assert_eq!(verified, Ok(()));

    // one row an aggregator: x_0, x_1, R_close, ρ, eight bytes each, little-endian
    let shares = [
        "53f861baacb37970 9879a1dc1476ab57 9928a4020764bde5 39c2d553110b9364",
        "67edc3745967f3e0 24f342b929ec56af ca3e48050fc87acb 7e83192fcb6b2f87",
        "7ae2252f071b6d51 af6ce4953f620207 fb54ec07172c38b1 c3445d0a85cccba9",
    ]
    .map(|row| hex(&row.replace(' ', "")));
    for (i, row) in (1..=3).zip(&shares) {
        assert_eq!(samples::opened(&deployment, &sealed, i).to_bytes()[..], row[..], "aggregator {i}");
    }
    // t = 2: f(0) = 2·f(1) − f(2) = 3·f(2) − 2·f(3), in integers modulo p
    let element =
        |i: usize, j: usize| u128::from(u64::from_le_bytes(shares[i][8 * j..8 * j + 8].try_into().unwrap()));
    for (j, secret) in [831, 12, 4_711, 4_753_173_749_397_848_308].into_iter().enumerate() {
        assert_eq!((2 * element(0, j) + P - element(1, j)) % P, secret);
        assert_eq!((3 * element(1, j) + 2 * (P - element(2, j))) % P, secret);
    }
}

/// A receipt, and the check value in it: Σ r_j·share_j + share_ρ with r_j = H(rid, j).
#[test]
fn receipt() {
    let (deployment, context) = deployment();
    let sealed = samples::sealed(&deployment);
    is::<Receipt>(samples::receipt(&deployment, &sealed, 1), messages::RECEIPT, &signer(1), &context);

    let check = samples::opened(&deployment, &sealed, 1).check(&sealed.rid);
    assert_eq!(check.to_canonical(), 16_604_205_468_625_531_614);
    let shares = samples::opened(&deployment, &sealed, 1).to_bytes();
    let elements: Vec<u128> = shares
        .chunks_exact(8)
        .map(|chunk| u128::from(u64::from_le_bytes(chunk.try_into().unwrap())))
        .collect();
    let mut sum = elements[3];
    for (j, share) in (0_u32..3).zip(&elements) {
        let preimage = [b"wv/1 check", &sealed.rid.as_bytes()[..], &j.to_be_bytes()].concat();
        let first = <[u8; 8]>::try_from(&Sha256::digest(preimage)[..8]).unwrap();
        sum = (sum + u128::from(u64::from_le_bytes(first)) % P * share) % P;
    }
    assert_eq!(sum, u128::from(check.to_canonical()));
    let checks: Vec<_> =
        (1..=3).map(|i| (point(i), samples::opened(&deployment, &sealed, i).check(&sealed.rid))).collect();
    assert_eq!(judge(&checks, 2, 1), Verdict::Consistent);
}

/// A load vector.
#[test]
fn load_vector() {
    let (_, context) = deployment();
    is::<LoadVector>(samples::load_vector(), messages::VECTOR, &meter_key(1), &context);
}

/// A chunk of a key deal; the deal in it, which names the hash of the hashes of each aggregator's chunks; and the
/// bytes that it is sealed around.
#[test]
fn deal() {
    let (deployment, context) = deployment();
    let sealed = samples::deal(&deployment);
    let bytes = hex(messages::DEAL);
    assert_eq!(sealed.messages.len(), 1);
    assert_eq!(sealed.messages[0][1], (point(2), bytes.clone()));

    // 3 bytes: the message, the deal's length; 3: the envelope, the body's length; 131 of body; 2 + 64 of signature
    let body = &bytes[6..137];
    let deal: Deal = wire::decode(body).unwrap();
    assert_eq!((deal.roster_epoch, deal.meter, deal.seq), (3, samples::head().meter, (7 << 32) + 7));
    assert_eq!(wire::encode(&meter_key(1).sign("deal", &context, body)), bytes[137..203]);
    assert_eq!(sealed.hash, sha256("deal", &[body]));

    for ((to, message), named) in sealed.messages[0].iter().zip(&deal.chunks) {
        // 4 bytes: point, hashes, the hash's length; 32 of hash; 5: index, box, key id, the encapsulated key's length;
        // 32 of encapsulated key; 1: the ciphertext's length; the ciphertext
        let rest = &message[203..];
        let (chunk, enc, ct) = (&rest[4..36], &rest[41..73], &rest[74..]);
        let (key_id, enc_len) = (1_u32.to_be_bytes(), 32_u64.to_be_bytes());
        assert_eq!(chunk, sha256("box", &[&[u8::from(*to)], &key_id, &enc_len, enc, ct]).as_bytes());
        assert_eq!(*named, sha256("chunks", &[chunk]), "aggregator {to}");
    }
    assert_eq!(deal.chunks.len(), 3);

    let message = DealMessage::parse(&bytes).unwrap();
    assert_eq!((message.deal(), message.point(), message.index()), (sealed.hash, point(2), 0));
    let chunk = message.verify(&meter_key(1).verifying_key(), &deployment.roster).unwrap();
    assert_eq!(chunk.open(&deployment.openers[1..2], &deployment.roster).unwrap()[..], [2, 0x5e]);
}

/// A part, named by the document's hash.
#[test]
fn part() {
    assert_eq!(part::split(b"a document"), [hex(messages::PART)]);
    let whole = Assembly::default().take("query", &hex(messages::PART)).unwrap();
    assert_eq!(whole.as_deref(), Some(&b"a document"[..]));
    assert_eq!(hex(messages::PART)[3..35], *sha256("part", &[b"a document"]).as_bytes());
}

/// Queries: for bills, for a curve with an exclusion, for an interval.
#[test]
fn query() {
    let (deployment, context) = deployment();
    is::<Query>(samples::bill_query(), messages::QUERY_BILL, &utility(), &context);
    is::<Query>(samples::group_query(&deployment), messages::QUERY_GROUP, &utility(), &context);
    is::<Query>(samples::grid_query(), messages::QUERY_GRID, &utility(), &context);
}

/// Inventories.
#[test]
fn inventory() {
    let (deployment, context) = deployment();
    is::<Inventory>(samples::inventory(&deployment), messages::INVENTORY, &signer(1), &context);
    is::<Inventory>(samples::refusing_inventory(), messages::INVENTORY_REFUSED, &signer(3), &context);
}

/// A cut, a vote and a bundle of votes.
#[test]
fn cut_and_votes() {
    let (deployment, context) = deployment();
    is::<Cut>(samples::cut(), messages::CUT, &utility(), &context);
    is::<Vote>(samples::vote(), messages::VOTE, &signer(2), &context);
    assert_eq!(wire::encode(&samples::votes(&deployment)), hex(messages::VOTES));
    assert_eq!(wire::decode::<Votes>(&hex(messages::VOTES)).unwrap(), samples::votes(&deployment));
}

/// A sealed result; the sink opens it to 831, −1 and no answer, and to the pieces of an opening.
#[test]
fn result() {
    let (deployment, context) = deployment();
    is::<ResultShare>(samples::result(&deployment), messages::RESULT, &signer(1), &context);
    let result = samples::result(&deployment);
    let (answers, pieces) = result.open(&deployment.sink, &deployment.roster, &[2, 1]).unwrap();
    assert_eq!(answers, samples::answers());
    assert_eq!(pieces, Some(samples::pieces()));
}

/// An objection.
#[test]
fn objection() {
    let (_, context) = deployment();
    is::<Objection>(samples::objection(), messages::OBJECTION, &signer(3), &context);
}

/// An outcome, a tariff, a status.
#[test]
fn outcome_tariff_and_status() {
    let (_, context) = deployment();
    is::<Outcome>(samples::outcome(), messages::OUTCOME, &utility(), &context);
    is::<TariffDocument>(samples::tariff(), messages::TARIFF, &utility(), &context);
    assert_eq!(samples::status().encode(), hex(messages::STATUS));
    assert_eq!(Status::decode(&hex(messages::STATUS)).unwrap(), samples::status());
}

/// [RFC 9180, appendix A.2.1, sequence number 0]: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, Base.
#[test]
fn hpke_rfc_9180() {
    let secret = hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb"); // skRm
    let key = OpeningKey::from_bytes(9, Suite::X25519, &secret).unwrap();
    let public = wire::encode(&key.sealing_key());
    let expected = concat!(
        "83",   // sealing key: 3 fields
        "09",   //   key id
        "01",   //   suite
        "5820", //   public key: pkRm
        "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a",
    );
    assert_eq!(public, hex(expected));
    let sealed = concat!(
        "83",   // sealed box: 3 fields
        "09",   //   key id
        "5820", //   enc
        "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
        "582d", //   ct
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db",
        "21993c62ce81883d2dd1b51a28",
    );
    let sealed: SealedBox = wire::decode(&hex(sealed)).unwrap();
    let info = hex("4f6465206f6e2061204772656369616e2055726e"); // "Ode on a Grecian Urn"
    let opened = key.open(&info, b"Count-0", &sealed).unwrap();
    assert_eq!(&opened[..], b"Beauty is truth, truth beauty");
    assert!(key.open(&info, b"Count-1", &sealed).is_err());
}

/// X-Wing's key generation: the first vector of draft-connolly-cfrg-xwing-kem-06, of whose 1,216 bytes of public key the
/// first 32 stand here and the whole as its SHA-256.
#[test]
fn xwing_draft_06() {
    let seed = hex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26");
    let key = OpeningKey::from_bytes(1, Suite::XWing, &seed).unwrap();
    let public = wire::encode(&key.sealing_key());
    let (head, public) = public.split_at(6);
    assert_eq!(head, hex(concat!("83", "01", "02", "5904c0"))); // [1, 2, 1,216 bytes]
    assert_eq!(public[..32], hex("e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5"));
    let digest = hex("2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb");
    assert_eq!(Sha256::digest(public)[..], digest);
}

/// [RFC 8032, section 7.1, tests 1 to 3]: our keys are theirs, and what we sign is signed as they say, over
/// `"wv/1 <kind>" ‖ 0 ‖ context ‖ body`.
#[test]
fn ed25519_rfc_8032() {
    use ed25519_dalek::Signer;

    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            concat!(
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            concat!(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            concat!(
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac",
                "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ),
    ];
    for (secret, public, message, signature) in vectors {
        let theirs = ed25519_dalek::SigningKey::from_bytes(&key(secret));
        assert_eq!(theirs.sign(&hex(message)).to_bytes()[..], hex(signature));
        let ours = SigningKey::from_bytes(&key(secret));
        assert_eq!(ours.verifying_key().to_bytes(), key(public));
        let context = Context::from(Hash::from([0xc0; 32]));
        let preimage = [b"wv/1 note\0", &[0xc0; 32][..], &hex(message)].concat();
        let signed = ours.sign("note", &context, &hex(message));
        assert_eq!(wire::encode(&signed)[2..], theirs.sign(&preimage).to_bytes());
    }
}
