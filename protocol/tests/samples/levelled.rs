//! Samples of the messages of mode `levelled`.

use super::*;

/// One sample a kind of message of mode `levelled`.
pub(super) fn of_levelled(deployment: &Deployment) -> Vec<Sample> {
    let context = deployment.roster.context();
    let by_utility = &deployment.utility;
    vec![
        of("plan", &Signed::sign(plan(), by_utility, &context), |d, bytes| {
            opens::<Plan>(bytes, &d.utility.verifying_key(), &d.roster.context())
        }),
        Sample {
            name: "collective",
            bytes: wire::encode(&key_bundle(deployment)),
            body: wire::encode(&key_bundle(deployment)),
            believed: |d, bytes| CollectiveKey::open(bytes, &d.roster).is_ok(),
            encoded_again: |body| wire::decode::<KeyBundle>(body).ok().map(|bundle| wire::encode(&bundle)),
        },
        of(
            "contribution-commit",
            &contribution(deployment, Step::Commit(Round::Seed, Hash::from([0xc0; 32]))),
            contribution_believed,
        ),
        of(
            "contribution-reveal",
            &contribution(deployment, Step::Reveal(Round::First, blob())),
            contribution_believed,
        ),
        of(
            "contribution-deal",
            &contribution(deployment, Step::Deal(point(3), blob())),
            contribution_believed,
        ),
        of("contribution-made", &contribution(deployment, made()), contribution_believed),
        of("upload", &Signed::sign(upload(), &meter_key(1), &context), |d, bytes| {
            opens::<Upload>(bytes, &meter_key(1).verifying_key(), &d.roster.context())
        }),
        of("word", &Signed::sign(taken(), &signer(1), &context), |d, bytes| {
            opens::<Taken>(bytes, &signer(1).verifying_key(), &d.roster.context())
        }),
        of("direction-ask", &Signed::sign(levelled_ask(), by_utility, &context), direction_believed),
        of("direction-cut", &Signed::sign(levelled_cut(), by_utility, &context), direction_believed),
        of(
            "direction-open",
            &Signed::sign(levelled_open(deployment), by_utility, &context),
            direction_believed,
        ),
        of("reply-holdings", &replied(deployment, ReplyStep::Holdings(sets())), reply_believed),
        of("reply-refused", &replied(deployment, ReplyStep::Refused(Rule::MemberSet)), reply_believed),
        of("reply-vote", &levelled_vote(deployment), reply_believed),
        of(
            "reply-answer",
            &replied(deployment, ReplyStep::Answer(levelled_answer(deployment))),
            |d, bytes| {
                Signed::<Reply>::open(bytes, &signer(2).verifying_key(), &d.roster.context()).is_ok_and(|reply| {
                matches!(&reply.step, ReplyStep::Answer(answer) if answer.open(point(2), &d.sink, &d.roster) == Ok(opened_answer()))
            })
            },
        ),
    ]
}

pub(crate) fn plan() -> Plan {
    Plan {
        nonce: QueryId::from([0x9a; 16]),
        profile: Profile::Medium,
        full_scale: 8_192,
        window: 96,
        k: 15,
        log_openings: 10,
        smudging_bits: 40,
    }
}

pub(crate) fn blob() -> Blob {
    Blob { hash: Hash::from([0xb1; 32]), len: 143_360 }
}

pub(crate) fn made() -> Step {
    Step::Made(blob(), Hash::from([0x4e; 32]))
}

/// Aggregator 2's contribution to the planned key.
pub(crate) fn contribution(deployment: &Deployment, step: Step) -> Signed<Contribution> {
    contribution_of(deployment, 2, step)
}

pub(super) fn contribution_of(deployment: &Deployment, i: usize, step: Step) -> Signed<Contribution> {
    let context = deployment.roster.context();
    let key = Signed::sign(plan(), &deployment.utility, &context).hash();
    Signed::sign(Contribution { key, point: point(i), step }, &signer(i), &context)
}

/// The plan, and what all three aggregators say that the key came to.
pub(crate) fn key_bundle(deployment: &Deployment) -> KeyBundle {
    let plan = Signed::sign(plan(), &deployment.utility, &deployment.roster.context());
    let said = (1..=3).map(|i| contribution_of(deployment, i, made()).into_bytes().into()).collect();
    KeyBundle(plan.into_bytes().into(), said)
}

pub(crate) fn upload() -> Upload {
    Upload {
        key: Hash::from([0x9e; 32]),
        meter: meter(1),
        slots: slots(472_320, 472_340),
        ciphertext: blob(),
    }
}

pub(crate) fn taken() -> Taken {
    Taken {
        point: point(1),
        meter: meter(1),
        held: vec![Hash::from([0x0a; 32])],
        refused: vec![NotTaken { upload: Hash::from([0x0b; 32]), rule: Rule::Copied }],
        at: NOW,
    }
}

pub(crate) fn sets() -> Vec<Vec<Member>> {
    vec![vec![Member { meter: meter(1), uploads: vec![Hash::from([0x0a; 32])] }]]
}

pub(super) fn direction(step: DirectionStep) -> Direction {
    Direction { request: QueryId::from([0x53; 16]), step }
}

pub(crate) fn levelled_ask() -> Direction {
    direction(DirectionStep::Ask(direction::Ask {
        key: Hash::from([0x9e; 32]),
        function: Function::Forecast(vec![65_536, -1]),
        subjects: vec![Subject { group: "north".parse().unwrap(), window: 4_920 }],
    }))
}

pub(crate) fn levelled_cut() -> Direction {
    direction(DirectionStep::Cut(sets()))
}

pub(crate) fn levelled_open(deployment: &Deployment) -> Direction {
    direction(DirectionStep::Open(direction::Open {
        cut: Hash::from([0xcc; 32]),
        members: vec![point(1), point(2)],
        votes: vec![levelled_vote(deployment).into_bytes().into()],
    }))
}

pub(crate) fn replied(deployment: &Deployment, step: ReplyStep) -> Signed<Reply> {
    let reply = Reply { request: QueryId::from([0x53; 16]), point: point(2), step };
    Signed::sign(reply, &signer(2), &deployment.roster.context())
}

pub(crate) fn levelled_vote(deployment: &Deployment) -> Signed<Reply> {
    replied(deployment, ReplyStep::Vote(Hash::from([0xcc; 32])))
}

pub(crate) fn opened_answer() -> Opened {
    Opened { result: ByteBuf::from(b"result"), partials: ByteBuf::from(b"partials") }
}

pub(crate) fn levelled_answer(deployment: &Deployment) -> Answer {
    let (cut, members) = (Hash::from([0xcc; 32]), vec![point(1), point(2)]);
    let roster = &deployment.roster;
    Answer::seal(cut, members, point(2), &opened_answer(), roster, &mut stream(0x0b)).unwrap()
}

pub(super) fn contribution_believed(deployment: &Deployment, bytes: &[u8]) -> bool {
    opens::<Contribution>(bytes, &signer(2).verifying_key(), &deployment.roster.context())
}

pub(super) fn direction_believed(deployment: &Deployment, bytes: &[u8]) -> bool {
    opens::<Direction>(bytes, &deployment.utility.verifying_key(), &deployment.roster.context())
}

pub(super) fn reply_believed(deployment: &Deployment, bytes: &[u8]) -> bool {
    opens::<Reply>(bytes, &signer(2).verifying_key(), &deployment.roster.context())
}
