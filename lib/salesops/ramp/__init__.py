"""How fast reps ramp: bookings and attainment by tenure, leavers included, and what the ramp costs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "files", "tables", "words"],
    submod_attrs={"compute": ["measure"], "params": ["Params"]},
)
