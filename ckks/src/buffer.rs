//! Memory for rows of numbers, kept for the next operation of the same thread.
//!
//! An operation takes and leaves several hundred kilobytes. Given back to the allocator each time, they go
//! back to the system each time too, and every page is faulted in and cleared again: that was measured
//! at up to two thirds of a public-key encryption, depending on nothing but how the heap happened to
//! lie. So each thread keeps a few buffers (SEAL and Lattigo do likewise), no more than
//! [`KEPT_BUFFERS`] and [`KEPT_WORDS`].
//!
//! What holds a key or what encrypts under one wipes its buffer before it leaves it, as it would its memory.

use bytemuck::Pod;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use zeroize::Zeroize;

/// How many buffers a thread keeps.
const KEPT_BUFFERS: usize = 24;

/// How many words of 8 bytes they have together: 48 MiB, which the largest set makes use of.
const KEPT_WORDS: usize = 6 << 20;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u64>>> = const { RefCell::new(Vec::new()) };
}

/// Numbers whose memory returns to the thread's store when they are dropped.
pub(crate) struct Buffer<T: Pod = u32> {
    words: Vec<u64>,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    /// Zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut out = Self::scratch(len);
        out.words.fill(0);
        out
    }

    /// Numbers of any value, for the caller to write all of them.
    pub(crate) fn scratch(len: usize) -> Self {
        let count = (len * size_of::<T>()).div_ceil(size_of::<u64>());
        let words = match kept(count) {
            None => vec![0; count],
            Some(mut words) => {
                words.resize(count, 0);
                words
            }
        };
        Self { words, len, of: PhantomData }
    }

    /// A copy of these numbers.
    pub(crate) fn copy(numbers: &[T]) -> Self {
        let mut out = Self::scratch(numbers.len());
        out.copy_from_slice(numbers);
        out
    }

    /// Keeps the first `len` numbers.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

/// The last kept memory that can hold so many words and is not far larger.
fn kept(count: usize) -> Option<Vec<u64>> {
    let take = |kept: &RefCell<Vec<Vec<u64>>>| {
        let mut kept = kept.borrow_mut();
        let at = kept.iter().rposition(|w| (count..=2 * count).contains(&w.capacity()))?;
        Some(kept.remove(at))
    };
    KEPT.try_with(take).ok().flatten()
}

impl<T: Pod> Drop for Buffer<T> {
    fn drop(&mut self) {
        let words = std::mem::take(&mut self.words);
        if words.capacity() == 0 {
            return;
        }
        // A thread that is ending has no store any more; then the words are simply freed.
        let _ended = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            kept.push(words);
            while kept.len() > KEPT_BUFFERS || kept.iter().map(Vec::capacity).sum::<usize>() > KEPT_WORDS {
                kept.remove(0);
            }
        });
    }
}

impl<T: Pod> Default for Buffer<T> {
    fn default() -> Self {
        Self { words: Vec::new(), len: 0, of: PhantomData }
    }
}

impl<T: Pod> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::copy(self)
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

impl<T: Pod> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}

/// Wipes the numbers and keeps the length.
impl<T: Pod> Zeroize for Buffer<T> {
    fn zeroize(&mut self) {
        self.words.as_mut_slice().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buffers come back, zeros are zeros all the same, and a wiped buffer leaves nothing behind.
    #[test]
    fn buffers_come_back() {
        let mut first = Buffer::<u32>::zeros(1000);
        first.fill(7);
        let place = first.as_ptr();
        drop(first);
        let again = Buffer::<f64>::scratch(450);
        assert_eq!((again.as_ptr().cast(), again.len()), (place, 450));
        drop(again);
        let mut zeros = Buffer::zeros(1000);
        assert_eq!(zeros.as_ptr(), place);
        assert!(zeros.iter().all(|&w| w == 0));
        zeros.fill(9);
        zeros.zeroize();
        assert_eq!(zeros.len(), 1000);
        drop(zeros);
        assert!(Buffer::<u32>::scratch(1000).iter().all(|&w| w == 0));
        // Neither too short nor far too long.
        assert_ne!(Buffer::scratch(1001).as_ptr(), place);
        assert_ne!(Buffer::scratch(400).as_ptr(), place);
    }

    #[test]
    fn stores_are_bounded() {
        let many: Vec<Buffer> = (0..100).map(|_| Buffer::zeros(1 << 20)).collect();
        drop(many);
        KEPT.with_borrow(|kept| assert_eq!(kept.len(), 12));
        let many: Vec<Buffer> = (0..100).map(|_| Buffer::zeros(1 << 10)).collect();
        drop(many);
        KEPT.with_borrow(|kept| assert_eq!(kept.len(), KEPT_BUFFERS));
    }
}
