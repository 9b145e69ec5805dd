//! What a well-behaved client may expect.

use std::time::Duration;

use tokio::time::Instant;

use super::process::client as program;
use super::{At, Case, case, take};
use crate::client::{Client, connect_with, packet, puback, publish, subscribe, text};

/// A CONNECT that keeps its session.
fn keep(at: &At, name: &str) -> Vec<u8> {
    connect_with(4, 0, 0, &[text(at.id(name))])
}

/// A CONNECT with a will, a clean session and a keep alive.
fn with_will(at: &At, name: &str, keep_alive: u16) -> Vec<u8> {
    connect_with(4, 0b0000_1110, keep_alive, &[text(at.id(name)), text(at.topic("will")), text("gone")])
}

async fn opened(at: &At, connect: &[u8]) -> (Client, Option<(u8, Vec<u8>)>) {
    let mut client = Client::open(at.broker).await;
    client.send(connect).await;
    let answer = client.receive().await;
    (client, answer)
}

/// A client that has kept a session with a subscription, and is away.
async fn left_a_session(at: &At) {
    let (mut keeper, _) = opened(at, &keep(at, "keeper")).await;
    keeper.send(&subscribe(1, &at.topic("t"), 1)).await;
    keeper.receive().await;
    keeper.send(&[0xe0, 0]).await;
    keeper.is_cut_off().await;
}

async fn carries(at: &At, qos: u8, filter: &str, topic: &str, payload: &[u8]) -> bool {
    let mut reader = at.subscribed("reader", filter, qos).await;
    let mut writer = at.connected("writer").await;
    writer.send(&publish(7, at.topic(topic), payload)).await;
    writer.receive().await == Some((0x40, vec![0, 7])) && take(&mut reader).await.as_deref() == Some(payload)
}

#[expect(clippy::too_many_lines, reason = "it is a list")]
pub(super) fn cases() -> Vec<Case> {
    vec![
        case!("carries a message to a subscriber at QoS 0", true, at => carries(&at, 0, "t", "t", b"x").await),
        case!("carries a message to a subscriber at QoS 1", true, at => carries(&at, 1, "t", "t", b"x").await),
        case!("carries 60,000 bytes", true, at => carries(&at, 1, "t", "t", &[7; 60_000]).await),
        case!("carries an empty message", true, at => carries(&at, 1, "t", "t", b"").await),
        case!("`+` is one level", true, at => {
            let mut reader = at.subscribed("reader", "+/c", 1).await;
            let mut writer = at.connected("writer").await;
            for (identifier, topic) in [(1, "a/b/c"), (2, "c"), (3, "b/c")] {
                writer.send(&publish(identifier, at.topic(topic), topic.as_bytes())).await;
            }
            take(&mut reader).await.as_deref() == Some(b"b/c")
        }),
        case!("`#` is all levels, and none", true, at => {
            let mut reader = at.subscribed("reader", "#", 1).await;
            let mut writer = at.connected("writer").await;
            writer.send(&publish(1, &at.own, b"none")).await;
            writer.send(&publish(2, at.topic("a/b"), b"all")).await;
            take(&mut reader).await.as_deref() == Some(b"none")
                && take(&mut reader).await.as_deref() == Some(b"all")
        }),
        case!("500 messages arrive once each and in order", true, at => {
            let mut reader = at.subscribed("reader", "t", 1).await;
            let mut writer = at.connected("writer").await;
            for number in 1..=500_u16 {
                writer.send(&publish(number, at.topic("t"), &number.to_be_bytes())).await;
            }
            for number in 1..=500_u16 {
                if take(&mut reader).await != Some(number.to_be_bytes().to_vec()) {
                    return false;
                }
            }
            true
        }),
        case!("a retained message reaches who comes later", true, at => {
            let mut writer = at.connected("writer").await;
            writer.send(&packet(0x33, &[&text(at.topic("t"))[..], &[0, 1], b"kept"].concat())).await;
            writer.receive().await;
            take(&mut at.subscribed("late", "t", 1).await).await.as_deref() == Some(b"kept")
        }),
        case!("an empty retained message takes it back", true, at => {
            let mut writer = at.connected("writer").await;
            for payload in [&b"kept"[..], b""] {
                writer.send(&packet(0x33, &[&text(at.topic("t"))[..], &[0, 1], payload].concat())).await;
                writer.receive().await;
            }
            let mut late = at.subscribed("late", "t", 1).await;
            writer.send(&publish(2, at.topic("t"), b"fresh")).await;
            take(&mut late).await.as_deref() == Some(b"fresh")
        }),
        case!("an empty message that is not retained takes nothing back", true, at => {
            let mut writer = at.connected("writer").await;
            writer.send(&packet(0x33, &[&text(at.topic("t"))[..], &[0, 1], b"kept"].concat())).await;
            writer.send(&publish(2, at.topic("t"), b"")).await;
            writer.receive().await;
            writer.receive().await;
            take(&mut at.subscribed("late", "t", 1).await).await.as_deref() == Some(b"kept")
        }),
        case!("a retained message is marked so to who comes later alone", true, at => {
            let mut present = at.subscribed("present", "t", 0).await;
            let mut writer = at.connected("writer").await;
            writer.send(&packet(0x33, &[&text(at.topic("t"))[..], &[0, 1], b"kept"].concat())).await;
            writer.receive().await;
            let mut late = at.subscribed("late", "t", 0).await;
            [present.receive().await, late.receive().await].map(|message| message.map(|(first, _)| first))
                == [Some(0x30), Some(0x31)]
        }),
        case!("150 retained messages all come, and again with a second SUBSCRIBE", true, at => {
            let mut writer = at.connected("writer").await;
            for number in 1..=150_u16 {
                let topic = text(at.topic(&format!("t/{number}")));
                writer.send(&packet(0x33, &[&topic[..], &number.to_be_bytes(), &number.to_be_bytes()].concat())).await;
                writer.receive().await;
            }
            let mut late = at.connected("late").await;
            for _ in 0..2 {
                late.send(&subscribe(9, &at.topic("t/+"), 1)).await;
                late.receive().await;
                let mut seen = std::collections::BTreeSet::new();
                for _ in 1..=150 {
                    seen.extend(take(&mut late).await);
                }
                if seen.len() != 150 {
                    return false;
                }
            }
            late.is_served().await
        }),
        case!("a kept session is said to be there, and gets what it has missed", true, at => {
            left_a_session(&at).await;
            let mut writer = at.connected("writer").await;
            writer.send(&publish(1, at.topic("t"), b"missed")).await;
            writer.receive().await;
            let (mut keeper, answer) = opened(&at, &keep(&at, "keeper")).await;
            answer == Some((0x20, vec![1, 0])) && take(&mut keeper).await.as_deref() == Some(b"missed")
        }),
        case!("what was not acknowledged comes again", true, at => {
            left_a_session(&at).await;
            let (mut keeper, _) = opened(&at, &keep(&at, "keeper")).await;
            let mut writer = at.connected("writer").await;
            writer.send(&publish(1, at.topic("t"), b"again")).await;
            keeper.receive().await;
            keeper.reset();
            let (mut keeper, _) = opened(&at, &keep(&at, "keeper")).await;
            take(&mut keeper).await.as_deref() == Some(b"again")
        }),
        case!("a clean session forgets the one before", true, at => {
            left_a_session(&at).await;
            let mut keeper = at.connected("keeper").await;
            let mut writer = at.connected("writer").await;
            writer.send(&publish(1, at.topic("t"), b"unwanted")).await;
            writer.receive().await;
            keeper.is_served().await
        }),
        case!("a will is published for who is lost", true, at => {
            let mut heir = at.subscribed("heir", "will", 1).await;
            let (lost, _) = opened(&at, &with_will(&at, "lost", 0)).await;
            lost.reset();
            take(&mut heir).await.as_deref() == Some(b"gone")
        }),
        case!("a will is not published for who says goodbye", true, at => {
            let mut heir = at.subscribed("heir", "will", 1).await;
            let (mut polite, _) = opened(&at, &with_will(&at, "polite", 0)).await;
            polite.send(&[0xe0, 0]).await;
            polite.is_cut_off().await;
            let mut writer = at.connected("writer").await;
            writer.send(&publish(1, at.topic("will"), b"alive")).await;
            take(&mut heir).await.as_deref() == Some(b"alive")
        }),
        case!("who is silent for 1.5 keep-alives is lost", true, at => {
            let mut heir = at.subscribed("heir", "will", 1).await;
            let start = Instant::now();
            let (mut silent, _) = opened(&at, &with_will(&at, "silent", 1)).await;
            silent.is_cut_off().await
                && take(&mut heir).await.as_deref() == Some(b"gone")
                && start.elapsed() >= Duration::from_millis(1400)
        }),
        case!("keep-alive 0 is accepted", true, at => {
            let connect = connect_with(4, 2, 0, &[text(at.id("patient"))]);
            let (mut patient, answer) = opened(&at, &connect).await;
            answer == Some((0x20, vec![0, 0])) && patient.is_served().await
        }),
        case!("whoever comes with an id in use takes the seat", true, at => {
            let mut first = at.connected("twin").await;
            let mut second = at.connected("twin").await;
            first.is_cut_off().await && second.is_served().await
        }),
        case!("an empty id is accepted for a clean session", true, at => {
            let (mut one, answer) = opened(&at, &connect_with(4, 2, 0, &[text("")])).await;
            answer == Some((0x20, vec![0, 0])) && one.is_served().await
        }),
        case!("an empty id is refused for a session to be kept", true, at => {
            let (_, answer) = opened(&at, &connect_with(4, 0, 0, &[text("")])).await;
            answer == Some((0x20, vec![0, 2]))
        }),
        case!("UNSUBSCRIBE is answered, and heeded", true, at => {
            let mut reader = at.subscribed("reader", "t", 1).await;
            reader.send(&packet(0xa2, &[&[0, 5][..], &text(at.topic("t"))].concat())).await;
            let answered = reader.receive().await == Some((0xb0, vec![0, 5]));
            let mut writer = at.connected("writer").await;
            writer.send(&publish(1, at.topic("t"), b"unwanted")).await;
            writer.receive().await;
            answered && reader.is_served().await
        }),
        case!("UNSUBSCRIBE from what was never subscribed to is answered", true, at => {
            let mut reader = at.connected("reader").await;
            reader.send(&packet(0xa2, &[&[0, 5][..], &text(at.topic("t"))].concat())).await;
            reader.receive().await == Some((0xb0, vec![0, 5]))
        }),
        case!("several filters in one SUBSCRIBE are answered in one SUBACK", true, at => {
            let mut reader = at.connected("reader").await;
            let filters = ["a", "b", "c"].map(|name| [text(at.topic(name)), vec![1]].concat());
            reader.send(&packet(0x82, &[&[0, 9][..], &filters.concat()].concat())).await;
            reader.receive().await == Some((0x90, vec![0, 9, 1, 1, 1]))
        }),
        case!("acknowledgements may come in any order", true, at => {
            let mut reader = at.subscribed("reader", "t", 1).await;
            let mut writer = at.connected("writer").await;
            for round in 0..4_u8 {
                let mut identifiers = Vec::new();
                for number in 1..=10 {
                    writer.send(&publish(number, at.topic("t"), &[round])).await;
                }
                for _ in 0..10 {
                    let Some((_, body)) = reader.receive().await else { return false };
                    identifiers.push([body[body.len() - 3], body[body.len() - 2]]);
                }
                for identifier in identifiers.into_iter().rev() {
                    reader.send(&puback(identifier)).await;
                }
            }
            reader.is_served().await
        }),
        case!("packets may come byte by byte", true, at => {
            let mut client = Client::open(at.broker).await;
            for byte in connect_with(4, 2, 0, &[text(at.id("slow"))]).into_iter().chain([0xc0, 0]) {
                client.send(&[byte]).await;
                tokio::task::yield_now().await;
            }
            client.receive().await == Some((0x20, vec![0, 0])) && client.receive().await == Some((0xd0, vec![]))
        }),
        case!("packets may come before CONNACK has left", true, at => {
            let mut client = Client::open(at.broker).await;
            let eager = [
                connect_with(4, 2, 0, &[text(at.id("eager"))]),
                subscribe(1, &at.topic("t"), 1),
                publish(2, at.topic("t"), b"x"),
            ];
            client.send(&eager.concat()).await;
            let mut seen = 0;
            while let Some((first, _)) = client.receive().await {
                seen |= match first >> 4 { 2 => 1, 9 => 2, 4 => 4, 3 => 8, _ => 16 };
                if seen == 15 {
                    return true;
                }
            }
            false
        }),
        case!("mosquitto_pub and mosquitto_sub understand it", true, at => {
            let topic = at.topic("t");
            let all = at.topic("#");
            for text in ["1", "2", "3"] {
                let topic = format!("{topic}/{text}");
                let Some(mut child) = program("mosquitto_pub", at.broker, &["-q", "1", "-r", "-t", &topic, "-m", text])
                else {
                    println!("not asked: mosquitto_pub is not installed");
                    return true;
                };
                if !child.wait().await.is_ok_and(|status| status.success()) {
                    return false;
                }
            }
            let read = program("mosquitto_sub", at.broker, &["-q", "1", "-t", &all, "-C", "3", "-W", "10"]);
            let Some(read) = read else { return true };
            let Ok(output) = read.wait_with_output().await else { return false };
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let mut lines: Vec<_> = text.lines().collect();
            lines.sort_unstable();
            lines == ["1", "2", "3"]
        }),
        case!("a topic may begin with a letter beyond ASCII", false, at => {
            let mut writer = at.connected("writer").await;
            writer.send(&publish(1, format!("é/{}", at.own), b"x")).await;
            writer.receive().await.is_some()
        }),
        case!("QoS 2 is spoken", false, at => {
            let mut writer = at.connected("writer").await;
            writer.send(&packet(0x34, &[&text(at.topic("t"))[..], &[0, 1], b"x"].concat())).await;
            writer.receive().await == Some((0x50, vec![0, 1]))
        }),
        case!("MQTT 5 is spoken", false, at => {
            let connect = connect_with(5, 2, 0, &[vec![0], text(at.id("five"))]);
            let (_, answer) = opened(&at, &connect).await;
            answer.is_some_and(|(first, body)| first == 0x20 && body.get(1) == Some(&0))
        }),
        case!("`$share` is spoken", false, at => {
            let mut member = at.connected("member").await;
            member.send(&subscribe(1, &format!("$share/g/{}", at.topic("t")), 1)).await;
            member.receive().await == Some((0x90, vec![0, 1, 1]))
        }),
    ]
}
