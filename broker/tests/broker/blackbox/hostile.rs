//! What the careless and the hostile do, and that it costs nobody else anything.

use super::{Case, case};
use crate::client::{Client, connect, connect_with, packet, publish, subscribe, text};

#[expect(clippy::too_many_lines, reason = "it is a list")]
pub(super) fn cases() -> Vec<Case> {
    vec![
        case!("an unknown protocol level is answered with 1", true, at => {
            let mut client = Client::open(at.broker).await;
            client.send(&connect_with(9, 2, 0, &[text(at.id("nine"))])).await;
            client.receive().await == Some((0x20, vec![0, 1]))
        }),
        case!("a second CONNECT is the end of it", true, at => at.cuts_off(connect(&at.id("hostile"))).await),
        case!("PUBLISH to a wildcard is the end of it", true, at => {
            at.cuts_off(publish(1, at.topic("#"), b"x")).await
        }),
        case!("PUBLISH to an empty topic is the end of it", true, at => at.cuts_off(publish(1, "", b"x")).await),
        case!("a topic with NUL is the end of it", true, at => {
            at.cuts_off(publish(1, at.topic("a\0b"), b"x")).await
        }),
        case!("a topic that is not UTF-8 is the end of it", true, at => {
            at.cuts_off(publish(1, [0xff, 0xfe, b'/'], b"x")).await
        }),
        case!("PUBLISH at QoS 3 is the end of it", true, at => {
            at.cuts_off(packet(0x36, &[&text(at.topic("t"))[..], &[0, 1]].concat())).await
        }),
        case!("PUBLISH without identifier is the end of it", true, at => {
            at.cuts_off(publish(0, at.topic("t"), b"x")).await
        }),
        case!("a topic longer than its packet is the end of it", true, at => {
            at.cuts_off(packet(0x30, &[0, 200, b'a'])).await
        }),
        case!("a length of five bytes is the end of it", true, at => {
            at.cuts_off(vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x7f]).await
        }),
        case!("packet type 0 is the end of it", true, at => at.cuts_off(vec![0, 0]).await),
        case!("packet type 15 is the end of it", true, at => at.cuts_off(vec![0xf0, 0]).await),
        case!("CONNACK from a client is the end of it", true, at => at.cuts_off(vec![0x20, 2, 0, 0]).await),
        case!("SUBACK from a client is the end of it", true, at => at.cuts_off(vec![0x90, 3, 0, 1, 0]).await),
        case!("SUBSCRIBE without its flags is the end of it", true, at => {
            at.cuts_off(packet(0x80, &[&[0, 1][..], &text(at.topic("t")), &[1]].concat())).await
        }),
        case!("SUBSCRIBE without a filter is the end of it", true, at => at.cuts_off(vec![0x82, 2, 0, 1]).await),
        case!("a misplaced wildcard fails, or is the end of it", true, at => {
            let mut client = at.connected("hostile").await;
            client.send(&subscribe(3, &at.topic("a#/b"), 1)).await;
            let refused = client.receive().await.is_none_or(|answer| answer == (0x90, vec![0, 3, 0x80]));
            refused && at.serves_others().await
        }),
        case!("another packet before CONNECT is the end of it", true, at => {
            let mut client = Client::open(at.broker).await;
            client.send(&publish(1, at.topic("t"), b"x")).await;
            client.is_cut_off().await && at.serves_others().await
        }),
        case!("a web browser is turned away", true, at => {
            let mut client = Client::open(at.broker).await;
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
            client.is_cut_off().await && at.serves_others().await
        }),
        case!("lives through a topic that begins beyond ASCII", true, at => {
            let mut client = at.connected("hostile").await;
            client.send(&publish(1, format!("é/{}", at.own), b"x")).await;
            client.receive().await;
            at.serves_others().await
        }),
        case!("lives through ids with / + # $ that come twice", true, at => {
            for id in ["/", "+", "#", "$"].map(|end| at.id(end)) {
                for _ in 0..2 {
                    let mut client = Client::open(at.broker).await;
                    client.send(&connect(&id)).await;
                    client.receive().await;
                }
            }
            at.serves_others().await
        }),
        case!("lives through CONNECT and reset, 200 times with one id", true, at => {
            for _ in 0..200 {
                let mut client = Client::open(at.broker).await;
                client.send(&connect(&at.id("flapping"))).await;
                client.reset();
            }
            at.serves_others().await
        }),
        case!("lives through subscribers that are flooded and leave", true, at => {
            let mut writer = at.connected("writer").await;
            for round in 0..5_u16 {
                let mut deaf = Vec::new();
                for number in 0..4_u8 {
                    deaf.push(at.subscribed(&format!("deaf-{number}"), "flood", number % 2).await);
                }
                for identifier in 1..=300_u16 {
                    writer.send(&publish(identifier, at.topic("flood"), &[0; 2000])).await;
                }
                for _ in 1..=300 {
                    writer.receive().await;
                }
                for (number, reader) in deaf.into_iter().enumerate() {
                    if (number + usize::from(round)) % 2 == 0 {
                        reader.reset();
                    }
                }
            }
            at.serves_others().await
        }),
        case!("lives through a `$share` member that leaves unacknowledged", true, at => {
            let filter = format!("$share/g/{}", at.topic("shared"));
            let mut member = Client::open(at.broker).await;
            member.send(&connect_with(4, 0, 0, &[text(at.id("member"))])).await;
            member.receive().await;
            member.send(&subscribe(1, &filter, 1)).await;
            member.receive().await;
            let mut writer = at.connected("writer").await;
            for identifier in 1..=10 {
                writer.send(&publish(identifier, at.topic("shared"), b"x")).await;
                writer.receive().await;
            }
            member.reset();
            at.serves_others().await
        }),
        case!("lives through 500 connections that say nothing", true, at => {
            let mut silent = Vec::new();
            for _ in 0..500 {
                silent.push(Client::open(at.broker).await);
            }
            at.serves_others().await
        }),
    ]
}
