#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_hostile::signature::check(input));
