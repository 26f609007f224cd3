"""OccFiner: recorded predictions of any onboard model refined, mapped, and made into labels."""
