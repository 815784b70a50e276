"""``python -m clustersim``, and what the command ``clustersim`` calls."""


def main() -> None:
    """Run the command line; an interrupt is answered alike while what it needs is still being imported."""
    try:
        from clustersim.cli import main as run
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # cli.INTERRUPTED, which is not there yet
    run()


if __name__ == "__main__":
    main()
