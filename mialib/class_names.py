"""What the classes of the picture data sets are called, in the order of their labels."""

_WORDS = {
    "cifar10": "airplane car bird cat deer dog frog horse ship truck",
    "cifar100": """
        apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
        caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
        forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
        mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
        possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
        sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
        willow_tree wolf woman worm
    """,
}
CLASS_NAMES = {dataset: words.split() for dataset, words in _WORDS.items()}


def class_name(dataset: str, label: int) -> str:
    """A class in words, where the data set has names for its classes; else its number."""
    return CLASS_NAMES[dataset][label].replace("_", " ") if dataset in CLASS_NAMES else str(label)
