"""Pure values and decisions. Nothing here touches a file, a socket, a clock or a thread.

=================  ===================================================================================
arguments          ``arguments``, ``headers``, ``object_options``, ``copy_options``, ``template_guard``
objects            ``objects``, ``object_names``, ``patterns``, ``listing``, ``etags``,
                   ``object_comparison``
parts and resume   ``parts``, ``ranges``, ``crc64``, ``md5``, ``checkpoint``, ``checkpoint_keys``,
                   ``resume``, ``copying``
many files         ``set_options``, ``set_names``, ``globs``, ``entries``, ``plan_decisions``,
                   ``batch_assignment``, ``manifest``, ``plan_layout``, ``packed_rows``, ``verdict``
sensors            ``waiting``
clean-up           ``stale_uploads``, ``leftover_files``, ``leftover_checkpoints``, ``cleanup_reports``
helpers            ``record``, ``lazy_property``, ``untrusted_json``, ``file_errors``
=================  ===================================================================================
"""
