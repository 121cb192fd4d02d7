from datamodules.archive.base import same_recording


def test_fingerprints_of_folder_and_zip() -> None:
    assert same_recording("5-7", "5-7") and same_recording("5-7", "5-crc00000001")
    assert not same_recording("5-7", "5-8") and not same_recording("6-7", "5-crc00000001")
    assert not same_recording("5-crc00000002", "5-crc00000001")
