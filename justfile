# The commands that people type: `just` lists them, https://just.systems runs them.

[private]
default:
    @just --list

# Run the demonstration, for example: just demo --meters 20
demo *options:
    cargo run --release -p wattveil -- demo {{options}}

# Run all tests, or those with a word in their names
test *words:
    cargo test --workspace {{words}}

# Play one history of the simulator again, for example: just seed 7 bills_are_exact_under_faults
seed number name:
    SIM_SEED={{number}} cargo test -p lab --test sim {{name}}

# Check the code with clippy
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Format the code
fmt:
    cargo fmt --all

# Measure, for example: just bench grid --meters 100
bench *options:
    cargo run --release -p wattveil -- bench {{options}}

# Build the API documentation
docs:
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps

# Make a small town in the directory NAME
town name="town":
    cargo run --release -p wattveil -- init {{name}} --meters 15 --synthetic --slot-minutes 60

# Build the Debian package of a role: meter-agent, aggregator-worker, utility-sink or broker
package role:
    cargo deb -p {{role}} --profile {{ if role == "meter-agent" { "device" } else { "dist" } }}

# Run everything that must pass before a change lands
ci:
    .ci/run
