"""What is measured: each module has `FIGURES`, what it measures, and `run(quick) -> {figure's name: value}`."""
