//! CBOR's items by their places in the bytes [RFC 8949, section 3], to write them otherwise.

/// An item: its head and, for strings, arrays and maps, what follows.
struct Item {
    start: usize,
    content: usize,
    end: usize,
    major: u8,
    argument: u64,
}

/// All items of a well-formed text, outermost first.
fn items(bytes: &[u8]) -> Vec<Item> {
    let mut found = Vec::new();
    assert_eq!(walk(bytes, 0, &mut found), bytes.len(), "the bytes are one item");
    found
}

fn walk(bytes: &[u8], start: usize, found: &mut Vec<Item>) -> usize {
    let (major, info) = (bytes[start] >> 5, bytes[start] & 31);
    let width = if info < 24 { 0 } else { 1 << (info - 24) };
    let content = start + 1 + width;
    let argument = bytes[start + 1..content].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let argument = if width == 0 { u64::from(info) } else { argument };
    let at = found.len();
    found.push(Item { start, content, end: 0, major, argument });
    let count = usize::try_from(argument).unwrap_or(0);
    let end = match major {
        2 | 3 => content + count,
        4 => (0..count).fold(content, |at, _| walk(bytes, at, found)),
        5 => (0..2 * count).fold(content, |at, _| walk(bytes, at, found)),
        _ => content,
    };
    found[at].end = end;
    end
}

/// A head with its argument in `width` bytes.
fn head(major: u8, argument: u64, width: usize) -> Vec<u8> {
    let info = [24, 25, 26, 27][width.trailing_zeros() as usize];
    [&[major << 5 | info][..], &argument.to_be_bytes()[8 - width..]].concat()
}

fn spliced(bytes: &[u8], from: usize, to: usize, with: &[u8]) -> Vec<u8> {
    [&bytes[..from], with, &bytes[to..]].concat()
}

/// The same value in every encoding that differs in one item.
pub(super) fn other_encodings(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut others = Vec::new();
    for Item { start, content, end, major, argument } in items(bytes) {
        let at = format!("at byte {start}");
        if major < 7 {
            for width in [1, 2, 4, 8].into_iter().filter(|width| start + 1 + width > content) {
                let longer = spliced(bytes, start, content, &head(major, argument, width));
                others.push((format!("{width} bytes of argument {at}"), longer));
            }
        }
        let body = &bytes[content..end];
        let indefinite = match major {
            2 | 3 => Some([&[major << 5 | 31][..], &bytes[start..end], &[0xff]].concat()),
            4 | 5 => Some([&[major << 5 | 31][..], body, &[0xff]].concat()),
            _ => None,
        };
        others.extend(
            indefinite.map(|item| (format!("indefinite length {at}"), spliced(bytes, start, end, &item))),
        );
        for tag in [&[0xc0][..], &[0xc2], &[0xd9, 0xd9, 0xf7]] {
            others.push((format!("tag {tag:x?} {at}"), spliced(bytes, start, start, tag)));
        }
        if major == 0 && argument > 0 {
            // tag 2: the same number as a byte string
            let bignum = [&[0xc2, 0x48][..], &argument.to_be_bytes()].concat();
            others.push((format!("a bignum {at}"), spliced(bytes, start, end, &bignum)));
        }
        if major == 2 {
            // the same bytes as an array of numbers
            let mut numbers = head(4, argument, 8);
            numbers.extend(
                body.iter().flat_map(|byte| if *byte < 24 { vec![*byte] } else { vec![0x18, *byte] }),
            );
            others.push((format!("an array of bytes {at}"), spliced(bytes, start, end, &numbers)));
        }
    }
    others
}

/// Every string, array and map with a length that is a lie.
pub(super) fn hostile_lengths(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let lengths = [1 << 16, 1 << 20, u64::from(u32::MAX), 1 << 40, (1 << 63) - 1, 1 << 63, u64::MAX];
    items(bytes)
        .iter()
        .filter(|item| (2..=5).contains(&item.major))
        .flat_map(|item| {
            lengths.map(|length| {
                let lie = spliced(bytes, item.start, item.content, &head(item.major, length, 8));
                (format!("length {length} at byte {}", item.start), lie)
            })
        })
        .collect()
}
