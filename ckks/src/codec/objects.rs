//! What each kind of object writes between header and end.

use super::{Body, Kind, Reader, WireError, Writer};
use crate::ciphertext::{Ciphertext, SeededCiphertext};
use crate::keys::{Automorphism, GaloisKey, KeyPart, PublicKey, RelinKey, SwitchingKey};
use crate::params::Params;
use crate::poly::Basis;

impl Body for Ciphertext {
    const KIND: Kind = Kind::Ciphertext;

    fn params(&self) -> &Params {
        &self.params
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.count(self.level as u64);
        w.scale(&self.scale);
        w.count(self.parts.len() as u64);
        for part in &self.parts {
            w.poly(part);
        }
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let level = r.level()?;
        let scale = r.scale()?;
        let count = r.count("the number of parts", 3)?;
        if count < 2 {
            return Err(WireError::NotCanonical("the number of parts"));
        }
        let basis = Basis::q(params, level);
        let parts: Vec<_> = (0..count).map(|_| r.poly(basis)).collect::<Result<_, _>>()?;
        if parts[1..].iter().any(crate::poly::Poly::is_zero) {
            return Err(WireError::Transparent);
        }
        let params = params.clone();
        Ok(Self { params, parts, level, scale })
    }
}

impl Body for SeededCiphertext {
    const KIND: Kind = Kind::SeededCiphertext;

    fn params(&self) -> &Params {
        &self.params
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.count(self.level as u64);
        w.scale(&self.scale);
        w.bytes(&self.seed.0);
        w.poly(&self.b);
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let level = r.level()?;
        let scale = r.scale()?;
        let seed = r.seed()?;
        let b = r.poly(Basis::q(params, level))?;
        let params = params.clone();
        Ok(Self { params, seed, b, level, scale })
    }
}

impl Body for PublicKey {
    const KIND: Kind = Kind::PublicKey;

    fn params(&self) -> &Params {
        self.params()
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.bytes(&self.seed().0);
        w.poly(self.b());
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let seed = r.seed()?;
        let b = r.poly(Basis::full(params))?;
        Ok(Self::from_seed(params, seed, b))
    }
}

impl SwitchingKey {
    fn write(&self, w: &mut Writer<'_>) {
        let [b, a] = self.to_plain();
        match self.kind() {
            KeyPart::Seed(seed) => {
                w.count(1);
                w.bytes(&seed.0);
            }
            KeyPart::Full => {
                w.count(0);
                for a in &a {
                    w.poly(a);
                }
            }
        }
        for b in &b {
            w.poly(b);
        }
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let basis = Basis::full(params);
        let seeded = r.count("whether there is a seed", 1)? == 1;
        if params.special_primes() == 0 {
            return Err(WireError::NotCanonical("a key without special primes"));
        }
        let polys = |r: &mut Reader<'_>| -> Result<Vec<_>, WireError> {
            (0..params.digits()).map(|_| r.poly(basis)).collect()
        };
        if seeded {
            let seed = r.seed()?;
            let b = polys(r)?;
            let a = Self::uniform(params, &seed);
            return Ok(Self::from_plain(params, KeyPart::Seed(seed), b, a));
        }
        let (a, b) = (polys(r)?, polys(r)?);
        Ok(Self::from_plain(params, KeyPart::Full, b, a))
    }
}

impl Body for RelinKey {
    const KIND: Kind = Kind::RelinKey;

    fn params(&self) -> &Params {
        self.params()
    }

    fn write(&self, w: &mut Writer<'_>) {
        self.0.write(w);
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        SwitchingKey::read(params, r).map(Self)
    }
}

impl Body for GaloisKey {
    const KIND: Kind = Kind::GaloisKey;

    fn params(&self) -> &Params {
        self.params()
    }

    fn write(&self, w: &mut Writer<'_>) {
        match self.automorphism() {
            Automorphism::Rotation(k) => w.count(u64::from(k.unsigned_abs()) + 1),
            Automorphism::Conjugation => w.count(0),
        }
        self.key.write(w);
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let automorphism = match r.count("the rotation", params.slots() as u64)? {
            0 => Automorphism::Conjugation,
            k => Automorphism::Rotation(k as i32 - 1),
        };
        Ok(Self::from_key(automorphism, SwitchingKey::read(params, r)?))
    }
}
