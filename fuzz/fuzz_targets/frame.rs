#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| meshhook_errors_fuzz::frame(data));
