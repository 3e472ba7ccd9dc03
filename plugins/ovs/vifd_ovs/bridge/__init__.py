"""What plugins on Open vSwitch share: the pipeline, numbers, marks and one object per bridge."""
